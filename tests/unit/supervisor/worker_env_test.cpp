#include "supervisor/worker_env.h"

#include <algorithm>
#include <cstdlib>
#include <doctest/doctest.h>

using namespace berth;
using Lines = std::vector<std::string>;

TEST_CASE("a worker has the daemon's environment, without what is the daemon's or its user's own") {
    Lines daemons = {"PATH=/bin", "INVOCATION_ID=1", "JOURNAL_STREAM=8:9", "NOTIFY_SOCKET=/x", "LISTEN_FDS=1",
                     "CREDENTIALS_DIRECTORY=/c", "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "HOMES=1",
                     "EMPTY=", "odd", "TZ=UTC"};
    CHECK(worker_environment(daemons, {}) == Lines{"PATH=/bin", "HOMES=1", "EMPTY=", "odd", "TZ=UTC"});
}

TEST_CASE("a manifest's settings stand in place of the daemon's") {
    CHECK(worker_environment({"A=1", "B=2", "HOME=/root"}, {{"B", "3"}, {"HOME", "/srv"}, {"JOURNAL_STREAM", "4"}}) ==
          Lines{"A=1", "B=3", "HOME=/srv", "JOURNAL_STREAM=4"});
}

TEST_CASE("a process's own environment is what environ has") {
    ::setenv("BERTH_OF_THIS_TEST", "a=b", 1);
    auto own = own_environment();
    CHECK(std::count(own.begin(), own.end(), "BERTH_OF_THIS_TEST=a=b") == 1);
    ::unsetenv("BERTH_OF_THIS_TEST");
}
