#include "stub/check.h"
#include "stub/module_file.h"
#include "stub/plan.h"

#include <algorithm>
#include <doctest/doctest.h>

#include "processes.h"

using namespace berth;
using namespace berth::cli;

namespace {

ElfSymbol function(const std::string &name, const std::string &version = "", bool is_default = true) {
    return {name, version, is_default, true, false};
}

ElfSymbols timer() {
    ElfSymbols elf;
    elf.soname = "libt.so.1";
    for (const char *name : {"libtNimDestroyGlobals", "libtNimMain", "t_add_event_listener", "t_about", "t_create",
                             "t_destroy", "t_echo", "t_remove_event_listener", "u_other"})
        elf.symbols.push_back(function(name));
    std::sort(elf.symbols.begin(), elf.symbols.end());
    return elf;
}

StubKind kind_of(const StubPlan &plan, const std::string &name) {
    for (const auto &symbol : plan.symbols)
        if (symbol.elf.name == name)
            return symbol.kind;
    FAIL(name << " is not planned");
    return StubKind::Nothing;
}

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("symbols are planned by their names, and by what the manifest adds") {
    NimffiSettings settings;
    settings.statics = {"about"};
    auto plan = plan_stub(settings, timer());
    REQUIRE_MESSAGE(plan, plan.error().text);
    CHECK(kind_of(*plan, "t_create") == StubKind::Create);
    CHECK(kind_of(*plan, "t_echo") == StubKind::Method);
    CHECK(kind_of(*plan, "t_about") == StubKind::Static);
    CHECK(kind_of(*plan, "t_destroy") == StubKind::DestroyAsync);
    CHECK(kind_of(*plan, "t_add_event_listener") == StubKind::AddListener);
    CHECK(kind_of(*plan, "t_remove_event_listener") == StubKind::RemoveListener);
    CHECK(kind_of(*plan, "libtNimMain") == StubKind::Nothing);
    CHECK(kind_of(*plan, "libtNimDestroyGlobals") == StubKind::Nothing);
    CHECK(plan->left_out == std::vector<std::string>{"u_other"});
    settings.destroy_arguments = 1;
    CHECK(kind_of(*plan_stub(settings, timer()), "t_destroy") == StubKind::Destroy);
}

TEST_CASE("a library of the older generation is planned with its signatures") {
    ElfSymbols elf;
    for (const char *name : {"libnNimMain", "n_destroy", "n_new", "n_publish", "n_start", "n_wait", "set_event_callback"})
        elf.symbols.push_back(function(name));
    NimffiSettings settings;
    settings.methods["publish"] = {NimffiType::String, NimffiType::Uint8, NimffiType::Float};
    auto plan = plan_stub(settings, elf);
    REQUIRE_MESSAGE(plan, plan.error().text);
    CHECK(plan->json);
    CHECK(kind_of(*plan, "n_new") == StubKind::New);
    CHECK(kind_of(*plan, "n_start") == StubKind::Arguments);
    CHECK(kind_of(*plan, "set_event_callback") == StubKind::EventCallback);
    CHECK(plan->without_signature == std::vector<std::string>{"n_wait"});
    plan->module = "n";
    std::string source = stub_source(*plan);
    CHECK(has(source, "int n_publish(void *ctx, FFICallback cb, void *ud, const char *a1, uint8_t a2, float a3) {"));
    CHECK(has(source, "\"sud\", a1, a2, a3);"));
    CHECK(has(source, ".flags = STUB_JSON,"));
}

TEST_CASE("what is no nim-ffi library cannot be stood in for") {
    ElfSymbols elf;
    elf.symbols = {function("main_thing")};
    CHECK_FALSE(plan_stub({}, elf));
}

TEST_CASE("names and paths are C strings in the source") {
    StubPlan plan;
    plan.module = "a\"b\\c";
    plan.module_dir = "/tmp/\xc3\xa4\n";
    std::string source = stub_source(plan);
    CHECK(has(source, ".module = \"a\\\"b\\\\c\","));
    CHECK(has(source, ".module_dir = \"/tmp/\\303\\244\\012\","));
}

TEST_CASE("the version script has the original's versions, their order and their parents") {
    StubPlan plan;
    plan.symbols.push_back({function("t_a"), StubKind::Method, "a", {}});
    CHECK(stub_version_script(plan) == "{\n  global:\n    t_a;\n  local: *;\n};\n");
    plan.versions = {{"T_1", {}}, {"T_2", {"T_1"}}};
    plan.symbols = {{function("t_a", "T_2"), StubKind::Method, "a", {}},
                    {function("t_a", "T_1", false), StubKind::Method, "a", {}}};
    CHECK(stub_version_script(plan) ==
          "T_1 {\n  global:\n    t_a;\n  local: *;\n};\nT_2 {\n  global:\n    t_a;\n} T_1;\n");
    CHECK(has(stub_source(plan), "__asm__(\".symver t_a_0, t_a@@T_2, remove\");\nBERTH_STUB_METHOD(t_a_0, \"a\")"));
    CHECK(has(stub_source(plan), "__asm__(\".symver t_a_1, t_a@T_1, remove\");\nBERTH_STUB_METHOD(t_a_1, \"a\")"));
}

TEST_CASE("two libraries are compared by soname, versions and symbols") {
    ElfSymbols original = timer();
    CHECK(stub_differences(original, original).empty());
    ElfSymbols stub = timer();
    stub.soname = "";
    stub.symbols.erase(stub.symbols.begin());
    stub.symbols.push_back(function("z_new"));
    stub.symbols[0].is_function = false;
    original.versions = {{"T_1", {}}, {"T_2", {"T_1"}}};
    stub.versions = {{"T_2", {}}, {"T_3", {}}};
    auto lines = stub_differences(original, stub);
    CHECK(lines == std::vector<std::string>{
                       "soname: none, not \"libt.so.1\"",
                       "version T_1: missing",
                       "version T_2: builds on [], not on [T_1]",
                       "version T_3: not in the original",
                       "symbol libtNimDestroyGlobals: missing",
                       "symbol libtNimMain: data, not a function",
                       "symbol z_new: not in the original",
                   });
}

TEST_CASE("a module's file is read for what a stub needs, and its mistakes are told") {
    test::TempDir folder;
    std::string path = folder / "t.toml";
    test::write_file(path, "library = \"libt.so\"\nadapter = \"nim-ffi\"\nspares = 3\n[nim-ffi]\nstatic = [\"about\"]\n");
    auto module = read_module_file(path);
    REQUIRE_MESSAGE(module, module.error().text);
    CHECK(module->name == "t");
    CHECK(module->library == folder / "libt.so");
    CHECK(module->nimffi.is_static("about"));
    test::write_file(path, "library = \"libt.so\"\n");
    CHECK(has(read_module_file(path).error().text, "key 'adapter'"));
    test::write_file(path, "library = \"libt.so\"\nadapter = \"nim-ffi\"\n[nim-ffi]\nstatic = 3\n");
    CHECK(has(read_module_file(path).error().text, "t.toml:4: key 'nim-ffi.static'"));
    test::write_file(path, "library = \n");
    CHECK(has(read_module_file(path).error().text, "t.toml:1: "));
    CHECK_FALSE(read_module_file(folder / "missing.toml"));
}
