#include "base/elf_symbols.h"

#include <algorithm>
#include <doctest/doctest.h>

#include "processes.h"

using namespace berth;
using test::needed_variable;
using test::read_file;
using test::write_file;

namespace {

bool mentions(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("symbols, versions and soname of a library are read off its file") {
    auto read = read_elf_symbols(needed_variable("BERTH_LIBBERTH_SO"));
    REQUIRE_MESSAGE(read, read.error().text);
    CHECK(read->soname == "libberth.so.0");
    CHECK(read->versions == std::vector<ElfVersion>{{"BERTH_0", {}}});
    auto connect = std::find_if(read->symbols.begin(), read->symbols.end(),
                                [](const ElfSymbol &symbol) { return symbol.name == "berth_connect"; });
    REQUIRE(connect != read->symbols.end());
    CHECK(elf_symbol_text(*connect) == "berth_connect@@BERTH_0");
    CHECK(connect->is_function);
    CHECK(std::all_of(read->symbols.begin(), read->symbols.end(),
                      [](const ElfSymbol &symbol) { return symbol.name.rfind("berth_", 0) == 0; }));
    CHECK(std::is_sorted(read->symbols.begin(), read->symbols.end()));
}

TEST_CASE("a file that is no shared library is named, with what it lacks") {
    test::TempDir folder;
    auto missing = read_elf_symbols(folder / "missing.so");
    REQUIRE_FALSE(missing);
    CHECK(mentions(missing.error().text, "missing.so: No such file"));
    write_file(folder / "text.so", "not a library");
    auto text = read_elf_symbols(folder / "text.so");
    REQUIRE_FALSE(text);
    CHECK(mentions(text.error().text, "text.so: is no ELF file"));
    CHECK_FALSE(read_elf_symbols(folder.path()));
}

TEST_CASE("a library cut short or scribbled over is an error or less of a library, never a crash") {
    test::TempDir folder;
    std::string whole = read_file(needed_variable("BERTH_ECHO_SO"));
    REQUIRE(whole.size() > 4096);
    std::string path = folder / "broken.so";
    for (size_t part = 0; part < 40; part++) {
        write_file(path, whole.substr(0, whole.size() * part / 40));
        CHECK_FALSE(read_elf_symbols(path));
    }
    // Section headers are at the end, the dynamic tables near the front.
    for (size_t at : {size_t{4}, size_t{16}, size_t{40}, size_t{58}}) {
        std::string broken = whole;
        std::fill_n(broken.begin() + static_cast<std::ptrdiff_t>(at), 8, '\xff');
        write_file(path, broken);
        CHECK_FALSE(read_elf_symbols(path));
    }
    size_t readable = 0;
    for (size_t at = 64; at + 16 < whole.size(); at += whole.size() / 600 + 1) {
        std::string broken = whole;
        std::fill_n(broken.begin() + static_cast<std::ptrdiff_t>(at), 16, static_cast<char>(at * 37));
        write_file(path, broken);
        readable += static_cast<bool>(read_elf_symbols(path));
    }
    CHECK(readable > 0);
}
