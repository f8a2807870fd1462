#include "base/nimffi_symbols.h"

#include <doctest/doctest.h>

using namespace berth;
using Names = std::vector<std::string>;

TEST_CASE("the symbols of the CBOR generation name its prefix and methods") {
    auto found = nimffi_symbols({"libmy_timerNimDestroyGlobals", "libmy_timerNimMain", "my_timer_add_event_listener",
                                 "my_timer_create", "my_timer_destroy", "my_timer_echo",
                                 "my_timer_remove_event_listener", "my_timer_version", "other"},
                                "");
    REQUIRE(found);
    CHECK(found->prefix == "my_timer");
    CHECK_FALSE(found->json);
    CHECK(found->listeners);
    CHECK(found->event_callback.empty());
    CHECK(found->methods == Names{"echo", "version"});
    CHECK(found->initialisers == Names{"libmy_timerNimMain"});
}

TEST_CASE("the symbols of the JSON generation name its prefix, methods and event callback") {
    auto found = nimffi_symbols({"set_event_callback", "waku_connect", "waku_destroy", "waku_new", "waku_start"}, "");
    REQUIRE(found);
    CHECK(found->prefix == "waku");
    CHECK(found->json);
    CHECK(found->event_callback == "set_event_callback");
    CHECK(found->methods == Names{"connect", "start"});
    found = nimffi_symbols({"waku_destroy", "waku_new", "waku_set_event_callback"}, "waku");
    REQUIRE(found);
    CHECK(found->event_callback == "waku_set_event_callback");
    CHECK(found->methods.empty());
}

TEST_CASE("a part of a library that looks like one is told from it by the runtime, or by the prefix asked for") {
    const Names both = {"a_create", "a_destroy", "a_watch_create", "a_watch_destroy"};
    auto found = nimffi_symbols(both, "");
    REQUIRE_FALSE(found);
    CHECK(found.error().text == "several libraries in one, say which by its prefix: a, a_watch");
    found = nimffi_symbols(both, "a");
    REQUIRE(found);
    CHECK(found->methods == Names{"watch_create", "watch_destroy"});
    found = nimffi_symbols({"a_create", "a_destroy", "a_watch_create", "a_watch_destroy", "libaNimMain"}, "");
    REQUIRE(found);
    CHECK(found->prefix == "a");
}

TEST_CASE("what is no nim-ffi library is told by what it lacks") {
    for (const Names &names : {Names{}, Names{"berth_module"}, Names{"a_create"}, Names{"_create", "_destroy"}}) {
        auto found = nimffi_symbols(names, "");
        REQUIRE_FALSE(found);
        CHECK(found.error().text.find("no NAME_create or NAME_new beside a NAME_destroy") != std::string::npos);
    }
    CHECK(nimffi_symbols({"a_create", "a_destroy"}, "b").error().text ==
          "it has no b_create or b_new beside a b_destroy");
}
