extern "C" {
#include "connection/daemon_environment.h"
}

#include <doctest/doctest.h>
#include <string>
#include <vector>

namespace {

const char *const kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::vector<std::string> passed_on(std::vector<std::string> entries, bool secure) {
    std::vector<char *> environment;
    for (std::string &entry : entries)
        environment.push_back(entry.data());
    environment.push_back(nullptr);
    environment_room room;
    std::vector<std::string> out;
    for (char *const *at = daemon_environment(&room, environment.data(), secure); *at; at++)
        out.push_back(*at);
    return out;
}

} // namespace

TEST_CASE("an ordinary host's environment is its supervisor's") {
    const std::vector<std::string> all = {"BERTH_WORKER=/x", "LD_PRELOAD=/x.so", "PATH=/mine", "A=%s"};
    CHECK(passed_on(all, false) == all);
}

TEST_CASE("of a set-uid host's environment nothing is passed on that names a file, a program or a format") {
    CHECK(passed_on({"BERTH_WORKER=/x", "BERTH_MODULE_DIR=x", "BERTH_LOG=x", "LD_PRELOAD=x.so", "PATH=.", "HOME=x",
                     "TMPDIR=x", "SQLITE_TMPDIR=x", "XDG_RUNTIME_DIR=x", "GCONV_PATH=x", "LOCPATH=x", "NLSPATH=x",
                     "LANGX=x", "TZDIR=x", "", "=", "LC_ALL"},
                    true) == std::vector<std::string>{kPath});
    CHECK(passed_on({"LANG=de_DE.UTF-8", "LC_TIME=C", "TZ=Europe/Berlin", "TZ=:etc", "TZ=CET", "LANG=../x", "LC_ALL=%n",
                     "TERM=xterm"},
                    true) == std::vector<std::string>{kPath, "LANG=de_DE.UTF-8", "LC_TIME=C", "TZ=CET", "TERM=xterm"});
}

TEST_CASE("a set-uid host's caller does not make the environment longer than there is room for") {
    std::vector<std::string> many(1000, "LC_X=y");
    CHECK(passed_on(many, true).size() == DAEMON_ENVIRONMENT_MOST);
}
