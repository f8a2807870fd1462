#include "module_init.h"

#include <algorithm>
#include <doctest/doctest.h>

#include "base/elf_hints.h"
#include "base/nimffi_settings.h"
#include "processes.h"
#include "supervisor/manifest.h"

using namespace berth;
using test::needed_variable;

namespace {

std::string fixture(const std::string &file) { return needed_variable("BERTH_NIMFFI_DIR") + "/" + file; }

bool mentions(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// The generated text, checked as berthd would.
Manifest parsed(const std::string &text) {
    auto manifest = parse_manifest(text, "/x/first.toml");
    REQUIRE_MESSAGE(manifest, (manifest.error().text + "\n" + text));
    return *manifest;
}

} // namespace

TEST_CASE("a first manifest of the CBOR generation says what the symbols say, and what it guessed") {
    auto text = cli::module_manifest(fixture("libmy_timer.so.1"));
    REQUIRE_MESSAGE(text, text.error().text);
    Manifest manifest = parsed(*text);
    CHECK(manifest.name == "my_timer");
    CHECK(manifest.library == fixture("libmy_timer.so.1"));
    CHECK(manifest.recycle == RecyclePolicy::Process);
    auto document = read_nimffi_document(manifest.adapter_settings);
    REQUIRE(document);
    CHECK(document->settings.prefix == "my_timer");
    CHECK(document->settings.json == false);
    CHECK(document->settings.events == std::vector<std::string>{"on_echo_fired"});
    CHECK(document->settings.initialisers.empty()); // the library calls it itself
    CHECK(mentions(*text, "destroy_arguments = 3  # guessed"));
    CHECK(mentions(*text, "static = []  # guessed"));
    CHECK(mentions(*text, "# methods: block build_info bytes echo emit environment fail misbehave nothing version\n"));
}

TEST_CASE("a first manifest of the JSON generation lists the methods that lack a signature") {
    auto text = cli::module_manifest(fixture("libmy_node.so"));
    REQUIRE_MESSAGE(text, text.error().text);
    auto document = read_nimffi_document(parsed(*text).adapter_settings);
    REQUIRE(document);
    CHECK(document->settings.json == true);
    CHECK(document->settings.initialisers == std::vector<std::string>{"libmy_nodeNimMain"});
    CHECK(document->settings.methods.size() == 2); // start and stop
    CHECK(mentions(*text, "# publish = []  # unknown\n"));
}

TEST_CASE("a first manifest of a module of our own is name and library") {
    auto text = cli::module_manifest(needed_variable("BERTH_ECHO_SO"));
    REQUIRE_MESSAGE(text, text.error().text);
    Manifest manifest = parsed(*text);
    CHECK(manifest.name == "berth-echo");
    CHECK(manifest.library == needed_variable("BERTH_ECHO_SO"));
    CHECK(manifest.adapter.empty());
}

TEST_CASE("what is no library of either kind is refused, with what it lacks") {
    test::TempDir folder;
    test::write_file(folder / "text.so", "not a library");
    auto text = cli::module_manifest(folder / "text.so");
    REQUIRE_FALSE(text);
    CHECK(mentions(text.error().text, "text.so: is no ELF file"));
    auto other = cli::module_manifest(needed_variable("BERTH_LIBBERTH_SO"));
    REQUIRE_FALSE(other);
    CHECK(mentions(other.error().text, "no module, as it has no berth_module, and no nim-ffi library"));
    CHECK_FALSE(cli::module_manifest(folder / "missing.so"));
}

TEST_CASE("a path with quotes and newlines stays one string of the manifest") {
    test::TempDir folder;
    std::string path = folder / "lib \"q\"\nname = 'x'.so";
    test::write_file(path, test::read_file(fixture("libmy_timer.so.1")));
    auto text = cli::module_manifest(path);
    REQUIRE_MESSAGE(text, text.error().text);
    CHECK(parsed(*text).library == path);
}

TEST_CASE("hints are whole names, and symbols that the library itself refers to") {
    auto hints = read_elf_hints(fixture("libmy_timer.so.1"));
    REQUIRE(hints);
    CHECK(std::binary_search(hints->names.begin(), hints->names.end(), "on_echo_fired"));
    CHECK(hints->own_references.contains("libmy_timerNimMain"));
    CHECK_FALSE(hints->own_references.contains("my_timer_echo"));
    auto node = read_elf_hints(fixture("libmy_node.so"));
    REQUIRE(node);
    CHECK_FALSE(node->own_references.contains("libmy_nodeNimMain"));
}

TEST_CASE("a first manifest of a library cut short or scribbled over is an error or a manifest, never a crash") {
    test::TempDir folder;
    std::string whole = test::read_file(fixture("libmy_timer.so.1")), path = folder / "broken.so";
    size_t written = 0;
    auto attempt = [&](const std::string &bytes) {
        test::write_file(path, bytes);
        auto text = cli::module_manifest(path);
        if (text)
            parsed(*text);
        written += static_cast<bool>(text);
    };
    for (size_t part = 0; part < 40; part++)
        attempt(whole.substr(0, whole.size() * part / 40));
    CHECK(written == 0);
    for (size_t at = 0; at + 16 < whole.size(); at += whole.size() / 400 + 1) {
        std::string broken = whole;
        std::fill_n(broken.begin() + static_cast<std::ptrdiff_t>(at), 16, static_cast<char>(at * 37));
        attempt(broken);
    }
    CHECK(written > 0);
}
