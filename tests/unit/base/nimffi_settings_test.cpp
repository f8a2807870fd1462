#include "base/nimffi_settings.h"

#include <doctest/doctest.h>

using namespace berth;

namespace {

// The mistakes of a table, `LINE KEY: WHAT`, in the order of the file.
std::vector<std::string> mistakes(std::string_view text) {
    std::map<uint32_t, std::string> found;
    read_nimffi_settings(*toml::parse(text)["nim-ffi"].as_table(),
                         [&](uint32_t line, const std::string &key, const std::string &what) {
                             found[line] = std::to_string(line) + " " + key + ": " + what;
                         });
    std::vector<std::string> out;
    for (auto &[line, what] : found)
        out.push_back(what);
    return out;
}

} // namespace

TEST_CASE("every setting of a nim-ffi library is read, and reaches the worker as it is") {
    constexpr std::string_view text = R"([nim-ffi]
prefix = "x"
generation = "json"
destroy_arguments = 1
deadline_ms = 30000
static = ["a", "b"]
events = ["on_echo_fired", "with \"quotes\""]
initialisers = ["libxNimMain"]
[nim-ffi.methods]
none = []
all = ["string", "bool", "int", "uint", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float", "double"]
)";
    CHECK(mistakes(text).empty());
    for (bool reused : {false, true}) {
        auto document = read_nimffi_document(nimffi_document(*toml::parse(text)["nim-ffi"].as_table(), reused));
        REQUIRE_MESSAGE(document, document.error().text);
        CHECK(document->reused == reused);
        const NimffiSettings &settings = document->settings;
        CHECK(settings.prefix == "x");
        CHECK(settings.json == true);
        CHECK(settings.destroy_arguments == 1);
        CHECK(settings.deadline_ms == 30000);
        CHECK(settings.is_static("a"));
        CHECK_FALSE(settings.is_static("none"));
        CHECK(settings.events == std::vector<std::string>{"on_echo_fired", "with \"quotes\""});
        CHECK(settings.initialisers == std::vector<std::string>{"libxNimMain"});
        CHECK(settings.methods.at("none").empty());
        CHECK(settings.methods.at("all").size() == 14);
        CHECK(settings.methods.at("all")[2] == NimffiType::Int32);
    }
}

TEST_CASE("without a table a nim-ffi library has the defaults") {
    auto document = read_nimffi_document(nimffi_document({}, false));
    REQUIRE(document);
    CHECK_FALSE(document->reused);
    CHECK(document->settings.prefix.empty());
    CHECK_FALSE(document->settings.json);
    CHECK(document->settings.destroy_arguments == 3);
    CHECK(document->settings.deadline_ms == 0);
    CHECK_FALSE(read_nimffi_document("not toml"));
    CHECK_FALSE(read_nimffi_document("[nim-ffi]\nno_such = 1\n"));
}

TEST_CASE("mistakes in the settings of a nim-ffi library are told with line, key and what would be right") {
    CHECK(mistakes(R"([nim-ffi]
prefix = ""
generation = "xml"
destroy_arguments = 2
deadline_ms = -1
static = "a"
events = ["a", 7]
initialisers = 5
no_such = true
)") == std::vector<std::string>{
                  "2 nim-ffi.prefix: must be a string of 1 to 255 bytes",
                  "3 nim-ffi.generation: must be \"cbor\" or \"json\"",
                  "4 nim-ffi.destroy_arguments: must be 1 or 3",
                  "5 nim-ffi.deadline_ms: must be an integer from 0 to 86400000",
                  "6 nim-ffi.static: must be an array of strings",
                  "7 nim-ffi.events: must be a string of 1 to 255 bytes",
                  "8 nim-ffi.initialisers: must be an array of strings",
                  "9 nim-ffi.no_such: unknown",
              });
    CHECK(mistakes("[nim-ffi]\nmethods = 1\n") ==
          std::vector<std::string>{"2 nim-ffi.methods: must be a table of arrays of types"});
    CHECK(mistakes("[nim-ffi.methods]\na = \"int\"\nb = [\"int\",\n\"integer\"]\n") ==
          std::vector<std::string>{"2 nim-ffi.methods.a: must be an array of types",
                                   "4 nim-ffi.methods.b: each must be one of " + nimffi_type_names()});
    CHECK(mistakes("[nim-ffi]\ngeneration = \"cbor\"\n[nim-ffi.methods]\na = []\n") ==
          std::vector<std::string>{"3 nim-ffi.methods: is for the generation \"json\" only"});
}
