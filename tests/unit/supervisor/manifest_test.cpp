#include "supervisor/manifest.h"

#include <doctest/doctest.h>

using namespace berth;

namespace {

constexpr const char *kFile = "/etc/berth/modules.d/echo.toml";

std::string error_of(std::string_view text, const std::string &file = kFile) {
    auto manifest = parse_manifest(text, file);
    return manifest ? "no error" : manifest.error().text;
}

} // namespace

TEST_CASE("a manifest with the library alone has the defaults and the file's name") {
    auto manifest = parse_manifest("library = \"../lib/libecho.so\"\n", kFile);
    REQUIRE(manifest);
    CHECK(manifest->name == "echo");
    CHECK(manifest->library == "/etc/berth/lib/libecho.so");
    CHECK(manifest->spares == 0);
    CHECK(manifest->max_contexts == 0);
    CHECK(manifest->drain_timeout_ms == 1500);
    CHECK(manifest->teardown_timeout_ms == 10000);
    CHECK(manifest->max_uses == 0);
    CHECK(manifest->quarantine_after == 5);
    CHECK(manifest->quarantine_window_ms == 60'000);
    CHECK(manifest->quarantine_ms == 600'000);
    CHECK(manifest->recycle == RecyclePolicy::Context);
    CHECK_FALSE(manifest->zygote);
    CHECK(manifest->env.empty());
}

TEST_CASE("every key is read") {
    auto manifest = parse_manifest(R"(
name = "a.b-C_9"
library = "/opt/x.so"
description = "an example"
spares = 3
max_contexts = 200
drain_timeout_ms = 1
teardown_timeout_ms = 2
max_uses = 4
recycle = "process"
quarantine_after = 8
quarantine_window_ms = 6
quarantine_ms = 7
zygote = true
[env]
LANG = "C"
EMPTY = ""
)",
                                   kFile);
    REQUIRE(manifest);
    CHECK(manifest->name == "a.b-C_9");
    CHECK(manifest->name_line == 2);
    CHECK(manifest->library == "/opt/x.so");
    CHECK(manifest->description == "an example");
    CHECK(manifest->spares == 3);
    CHECK(manifest->max_contexts == 200);
    CHECK(manifest->drain_timeout_ms == 1);
    CHECK(manifest->teardown_timeout_ms == 2);
    CHECK(manifest->max_uses == 4);
    CHECK(manifest->quarantine_after == 8);
    CHECK(manifest->quarantine_window_ms == 6);
    CHECK(manifest->quarantine_ms == 7);
    CHECK(manifest->recycle == RecyclePolicy::Process);
    CHECK(manifest->zygote);
    CHECK(manifest->env == std::map<std::string, std::string>{{"LANG", "C"}, {"EMPTY", ""}});
}

TEST_CASE("a mistake names file, line and key") {
    struct Case {
        const char *text;
        const char *error;
    };
    const Case cases[] = {
        {"", "/etc/berth/modules.d/echo.toml:1: key 'library': missing"},
        {"library = \"x\"\nsparse = 1\n", "/etc/berth/modules.d/echo.toml:2: key 'sparse': unknown"},
        {"library = \"x\"\nzygote = 1\n",
         "/etc/berth/modules.d/echo.toml:2: key 'zygote': must be true or false, not an integer"},
        {"library = 7\n", "/etc/berth/modules.d/echo.toml:1: key 'library': must be a string, not an integer"},
        {"library = \"\"\n", "/etc/berth/modules.d/echo.toml:1: key 'library': must not be empty"},
        {"\nlibrary = \"x\"\nspares = \"two\"\n",
         "/etc/berth/modules.d/echo.toml:3: key 'spares': must be an integer, not a string"},
        {"library = \"x\"\nspares = 1.5\n",
         "/etc/berth/modules.d/echo.toml:2: key 'spares': must be an integer, not a float"},
        {"library = \"x\"\nspares = -1\n",
         "/etc/berth/modules.d/echo.toml:2: key 'spares': must be from 0 to 1000, not -1"},
        {"library = \"x\"\ndrain_timeout_ms = 3600001\n",
         "/etc/berth/modules.d/echo.toml:2: key 'drain_timeout_ms': must be from 0 to 3600000, not 3600001"},
        {"library = \"x\"\nmax_uses = true\n",
         "/etc/berth/modules.d/echo.toml:2: key 'max_uses': must be an integer, not a boolean"},
        {"library = \"x\"\nrecycle = \"never\"\n",
         "/etc/berth/modules.d/echo.toml:2: key 'recycle': must be \"context\" or \"process\""},
        {"library = \"x\"\nname = \"a b\"\n",
         "/etc/berth/modules.d/echo.toml:2: key 'name': must be 1 to 64 of A-Z a-z 0-9 _ . -"},
        {"library = \"x\"\nenv = [1]\n", "/etc/berth/modules.d/echo.toml:2: key 'env': must be a table, not an array"},
        {"library = \"x\"\n[env]\nA = \"b\"\nHOME = 1\n",
         "/etc/berth/modules.d/echo.toml:4: key 'env.HOME': must be a string, not an integer"},
        {"library = \"x\"\n[env]\n\"A=B\" = \"c\"\n",
         "/etc/berth/modules.d/echo.toml:3: key 'env.A=B': cannot name an environment variable"},
        {"library = \"x\"\n[limits]\n", "/etc/berth/modules.d/echo.toml:2: key 'limits': unknown"},
    };
    for (const auto &c : cases) {
        CAPTURE(c.text);
        CHECK(error_of(c.text) == c.error);
    }
}

TEST_CASE("of several mistakes the first in the file is told") {
    CHECK(error_of("zzz = 1\naaa = 2\nlibrary = \"x\"\n") == std::string(kFile) + ":1: key 'zzz': unknown");
}

TEST_CASE("broken TOML names file and line") {
    CHECK(error_of("library = \"x\"\nspares = = 1\n").starts_with(std::string(kFile) + ":2: "));
    CHECK(error_of("a = 1\nb = 2\na = 3\n").starts_with(std::string(kFile) + ":3: "));
}

TEST_CASE("a file name that cannot be a module's name needs the key") {
    CHECK(error_of("library = \"x\"\n", "/m/my module.toml") ==
          "/m/my module.toml:1: key 'name': missing, and the file's name cannot serve as one");
    CHECK(parse_manifest("library = \"x\"\nname = \"mine\"\n", "/m/my module.toml"));
}

TEST_CASE("workers serve on after a change that is the daemon's own business") {
    auto one = parse_manifest("library = \"x\"\n", kFile);
    auto spares = parse_manifest("library = \"x\"\nspares = 2\ndescription = \"d\"\nmax_contexts = 1\n", kFile);
    auto library = parse_manifest("library = \"y\"\n", kFile);
    auto env = parse_manifest("library = \"x\"\nenv.A = \"1\"\n", kFile);
    REQUIRE((one && spares && library && env));
    CHECK(one->serves_like(*spares));
    CHECK_FALSE(one->serves_like(*library));
    CHECK_FALSE(one->serves_like(*env));
}

TEST_CASE("an adapter's module is for one process unless the manifest says otherwise, and its settings are checked") {
    auto plain = parse_manifest("library = \"x.so\"\nadapter = \"nim-ffi\"\n", kFile);
    REQUIRE(plain);
    CHECK(plain->adapter == "nim-ffi");
    CHECK(plain->recycle == RecyclePolicy::Process);
    auto kept = parse_manifest("library = \"x.so\"\nadapter = \"nim-ffi\"\nrecycle = \"context\"\n", kFile);
    REQUIRE(kept);
    CHECK(kept->recycle == RecyclePolicy::Context);
    CHECK_FALSE(plain->serves_like(*kept));
    CHECK(plain->adapter_settings != kept->adapter_settings);
    auto more = parse_manifest("library = \"x.so\"\nadapter = \"nim-ffi\"\n[nim-ffi]\nevents = [\"e\"]\n", kFile);
    REQUIRE(more);
    CHECK_FALSE(plain->serves_like(*more));

    std::string file = kFile;
    CHECK(error_of("library = \"x.so\"\nadapter = \"java\"\n") == file + ":2: key 'adapter': must be \"nim-ffi\"");
    CHECK(error_of("library = \"x.so\"\nadapter = 1\n") ==
          file + ":2: key 'adapter': must be a string, not an integer");
    CHECK(error_of("library = \"x.so\"\n\n[nim-ffi]\n") ==
          file + ":3: key 'nim-ffi': goes with adapter = \"nim-ffi\" only");
    CHECK(error_of("library = \"x.so\"\nadapter = \"nim-ffi\"\nnim-ffi = 1\n") ==
          file + ":3: key 'nim-ffi': must be a table, not an integer");
    CHECK(error_of("library = \"x.so\"\nadapter = \"nim-ffi\"\n[nim-ffi]\nstatc = []\n") ==
          file + ":4: key 'nim-ffi.statc': unknown");
    CHECK(error_of("library = \"x.so\"\nadapter = \"nim-ffi\"\n[nim-ffi.methods]\nm = [\"int\", \"char\"]\n")
              .starts_with(file + ":4: key 'nim-ffi.methods.m': each must be one of string, "));
}
