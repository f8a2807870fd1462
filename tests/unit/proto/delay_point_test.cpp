// The points as a build with -Dkill_points=true has them: this file has them in every build.
#ifndef BERTH_KILL_POINTS
#define BERTH_KILL_POINTS
#endif
#include "kill_point.h"

#include <atomic>
#include <cstdlib>
#include <doctest/doctest.h>
#include <string>
#include <thread>
#include <vector>

#include "held_point.h"
#include "processes.h"

using namespace berth::test;

namespace {

using Point = struct berth_kill_point;

// Sets a variable for as long as it lives.
class Setting {
  public:
    Setting(const char *name, const std::string &value) : name_(name) { ::setenv(name, value.c_str(), 1); }
    ~Setting() { ::unsetenv(name_); }
    Setting(const Setting &) = delete;

  private:
    const char *name_;
};

uint64_t passing_us(Point &point, const char *name) {
    uint64_t began = berth_delay_now_ns();
    berth_kill_point(name, &point, 1);
    return (berth_delay_now_ns() - began) / 1000;
}

uint32_t armed_for(const char *name) {
    Point point{};
    berth_kill_point(name, &point, 1);
    return point.armed;
}

} // namespace

TEST_CASE("a delay is decided by seed, name and pass, and is bounded") {
    uint64_t seed = berth_delay_seed(7, "host.x");
    CHECK(seed == berth_delay_seed(7, "host.x"));
    CHECK(seed != berth_delay_seed(8, "host.x"));
    CHECK(seed != berth_delay_seed(7, "host.y"));
    int none = 0, brief = 0, longer = 0;
    uint32_t most = 0;
    for (uint32_t pass = 0; pass < 20000; pass++) {
        uint32_t us = berth_delay_us(seed, pass, 3000);
        CHECK(us == berth_delay_us(seed, pass, 3000));
        (us == 0 ? none : us <= 32 ? brief : longer)++;
        most = std::max(most, us);
        REQUIRE(berth_delay_us(seed, pass, 5) <= 5);
        REQUIRE(berth_delay_us(seed, pass, 0) == 0);
    }
    CHECK(none > 10 * brief / 4);
    CHECK(brief > 4 * longer);
    CHECK(longer > 200);
    CHECK(most > 2500);
    CHECK(most <= 3000);
}

TEST_CASE("points are listed by name or by beginning") {
    CHECK(berth_delay_listed(nullptr, "host.x"));
    CHECK_FALSE(berth_delay_listed("", "host.x"));
    CHECK(berth_delay_listed("worker.,host.x", "host.x"));
    CHECK(berth_delay_listed("worker.,host.", "host.x"));
    CHECK_FALSE(berth_delay_listed("worker.,host.x", "host.xy"));
    CHECK_FALSE(berth_delay_listed("worker.,host.xy", "host.x"));
    CHECK_FALSE(berth_delay_listed("host", "host.x"));
}

TEST_CASE("a point for which nothing is meant looks once") {
    Point point{};
    berth_kill_point("host.x", &point, 1);
    CHECK(point.armed == BERTH_POINT_LOOKED);
    Setting later("BERTH_DELAY_SEED", "7");
    berth_kill_point("host.x", &point, 1);
    CHECK(point.armed == BERTH_POINT_LOOKED);
    CHECK(point.passed == 0);
    CHECK(armed_for("host.x") == (BERTH_POINT_LOOKED | BERTH_POINT_DELAYS));
    Setting points("BERTH_DELAY_POINTS", "worker.");
    CHECK(armed_for("host.x") == BERTH_POINT_LOOKED);
    CHECK(armed_for("worker.x") == (BERTH_POINT_LOOKED | BERTH_POINT_DELAYS));
}

TEST_CASE("a thread stands as long as the seed says, and errno stays") {
    Setting seed("BERTH_DELAY_SEED", "7"), bound("BERTH_DELAY_MOST_US", "20000");
    uint64_t point_seed = berth_delay_seed(7, "host.x");
    Point point{};
    int stood = 0;
    for (uint32_t pass = 0; pass < 200; pass++) {
        uint32_t us = berth_delay_us(point_seed, pass, 20000);
        errno = ENOTTY;
        REQUIRE(passing_us(point, "host.x") >= us);
        REQUIRE(errno == ENOTTY);
        stood += us > 50;
    }
    CHECK(stood > 0);
    CHECK(point.passed == 200);
}

TEST_CASE("a thread stands exactly at one point, after some passes") {
    Setting delay("BERTH_DELAY", "host.x:100000:2");
    Point point{};
    CHECK(armed_for("host.xy") == BERTH_POINT_LOOKED);
    CHECK(armed_for("host") == BERTH_POINT_LOOKED);
    int slow[4];
    for (int &one : slow)
        one = passing_us(point, "host.x") >= 100000;
    CHECK(slow[2] + slow[3] == 2);
    uint64_t us;
    uint32_t after;
    CHECK((berth_delay_exact("host.x:12:3", "host.x", &us, &after) && us == 12 && after == 3));
    CHECK((berth_delay_exact("host.x:12", "host.x", &us, &after) && us == 12 && after == 0));
}

TEST_CASE("signals do not shorten a delay") {
    Setting delay("BERTH_DELAY", "host.x:100000");
    struct sigaction nothing = {}, before;
    nothing.sa_handler = [](int) {};
    REQUIRE(::sigaction(SIGUSR1, &nothing, &before) == 0);
    std::atomic<bool> over{false};
    pthread_t self = ::pthread_self();
    std::thread nagging([&] {
        while (!over) {
            ::pthread_kill(self, SIGUSR1);
            sleep_ms(1);
        }
    });
    Point point{};
    CHECK(passing_us(point, "host.x") >= 100000);
    over = true;
    nagging.join();
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("a thread is held at a point until the test lets it go") {
    TempDir folder;
    Setting hold("BERTH_HOLD_FOLDER", folder.path());
    Point point{};
    berth_kill_point("host.x", &point, 1); // nobody is to be held yet
    HeldPoint held("host.x"), other("host.y");
    std::atomic<bool> passed{false};
    std::thread comes_by([&] {
        berth_kill_point("host.x", &point, 1);
        passed = true;
    });
    CHECK(held.reached_soon());
    berth_kill_point("host.x", &point, 1); // the first only
    CHECK_FALSE(passed);
    CHECK_FALSE(other.reached());
    held.let_go();
    comes_by.join();
}

TEST_CASE("many threads pass a point at once") { // for ThreadSanitizer
    Setting seed("BERTH_DELAY_SEED", "7");
    Point point{};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (int pass = 0; pass < 500; pass++)
                berth_kill_point("host.x", &point, 1);
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(point.passed == 2000);
}
