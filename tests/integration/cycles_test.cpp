// Opening and closing without end: what is held afterwards is what was held before, and nothing passes from one owner
// to the next.
#include <algorithm>
#include <doctest/doctest.h>
#include <memory>
#include <sstream>
#include <unistd.h>
#include <utility>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "service.h"

using namespace berth::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCycles = 3000; // the same code, at a tenth of the speed
constexpr bool kCountMappings = false; // a sanitizer's own come and go
#else
constexpr int kCycles = 100000;
constexpr bool kCountMappings = true;
#endif

// What a process has mapped: files and segments by their number; neighbours without a name may become one, and one two.
struct Mapped {
    size_t files = 0, anonymous_kib = 0;
};

Mapped mapped(const std::string &maps) {
    Mapped out;
    std::istringstream lines(maps);
    for (std::string line; std::getline(lines, line);) {
        size_t first = 0, end = 0;
        char mode[8], path[8] = "";
        if (std::sscanf(line.c_str(), "%zx-%zx %7s %*s %*s %*s %7s", &first, &end, mode, path) < 3 || mode[0] != 'r')
            continue;
        if (path[0] == '/')
            out.files++;
        else
            out.anonymous_kib += (end - first) / 1024;
    }
    return out;
}

// Text, so that a difference can be read, and what may grow a little.
struct Held {
    std::string counted;
    std::vector<size_t> anonymous_kib;

    bool operator==(const Held &) const = default;
    bool is_no_more_than(const Held &before) const {
        return counted == before.counted &&
               std::equal(anonymous_kib.begin(), anonymous_kib.end(), before.anonymous_kib.begin(),
                          before.anonymous_kib.end(), [](size_t now, size_t then) { return now <= then + kSlackKib; });
    }
    static constexpr size_t kSlackKib = 1024; // ten bytes a cycle
};

Held held_by(std::vector<pid_t> processes) {
    std::ostringstream out;
    Held held;
    processes.push_back(::getpid());
    for (pid_t pid : processes) {
        std::string proc = "/proc/" + std::to_string(pid);
        Mapped now = kCountMappings ? mapped(read_file(proc + "/maps")) : Mapped();
        out << pid << " (" << command_of(pid) << "): " << entries(proc + "/fd") << " descriptors, "
            << entries(proc + "/task") << " threads, " << now.files << " mappings of files\n";
        held.anonymous_kib.push_back(now.anonymous_kib);
    }
    held.counted = out.str();
    return held;
}

std::ostream &operator<<(std::ostream &out, const Held &held) {
    out << held.counted << "KiB of memory without a name:";
    for (size_t kib : held.anonymous_kib)
        out << ' ' << kib;
    return out << '\n';
}

void cycle(const Host &host, int times) {
    for (int i = 0; i < times; i++) {
        berth_context context{0};
        REQUIRE(berth_open(host.handle(), "echo", nullptr, 0, nullptr, &context, nullptr) == BERTH_RET_OK);
        REQUIRE(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
    }
}

struct Seen {
    std::atomic<int> events{0};
    static void count(int, const uint8_t *, size_t, void *user_data) { static_cast<Seen *>(user_data)->events++; }
};

std::string emit(int count) { return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": 64}"); }

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "after many open/close cycles host, supervisor and workers hold what they held after a hundred") {
    TempDir folder; // with one module that has one worker for good
    write_file(folder / "echo.toml",
               "library = \"" + needed_variable("BERTH_ECHO_SO") + "\"\nidle_timeout_ms = 86400000\nmax_contexts = 1\n");
    Host host(Host::Private::FromFolder, folder.path());
    cycle(host, 100);
    { // every thread has had something to do by then, and has its heap
        Context context(host);
        CHECK(host.status().ret == BERTH_RET_OK);
    }
    auto settled = [&] { return held_by(own_processes()); };
    Held before, after;
    eventually([&] {
        Held now = settled();
        return std::exchange(before, now) == now;
    });
    cycle(host, kCycles);
    CHECK(eventually([&] { return (after = settled()).is_no_more_than(before); }));
    CHECK_MESSAGE(after.is_no_more_than(before), "before:\n" << before << "after:\n" << after);
}

TEST_CASE_FIXTURE(LeakChecked, "nothing of one owner reaches the next: no event, no answer, no listener, no byte") {
    TempDir folder;
    write_file(folder / "echo.toml", "library = \"" + needed_variable("BERTH_ECHO_SO") + "\"\ndrain_timeout_ms = 50\n");
    Service service({.modules = folder.path()});
    Host host(service.socket());
    pid_t worker = 0;
    for (int round = 0; round < 10; round++) {
        CAPTURE(round);
        std::vector<std::unique_ptr<Record>> cut_off;
        {
            Context first(host);
            if (round == 0)
                worker = host.worker();
            REQUIRE(host.worker() == worker);
            Seen never_read;
            REQUIRE(berth_listen(first.handle(), "tick", nullptr, &never_read, nullptr) == BERTH_RET_OK);
            CHECK(first.call("emit", emit(500)).ret == BERTH_RET_OK);
            for (int i = 0; i < 20; i++) {
                cut_off.push_back(std::make_unique<Record>());
                REQUIRE(first.submit("later", later_request(600000, "the first owner's"), Record::callback,
                                     cut_off.back().get()) == BERTH_RET_OK);
            }
            Record closed;
            REQUIRE(berth_close(first.handle(), Record::callback, &closed) == BERTH_RET_OK);
            REQUIRE(eventually([&] { return closed.answered(); }));
            CHECK(text_at(closed.bytes, "/outcome") == "cancelled");
            first.forget();
        }
        for (auto &record : cut_off) {
            CHECK(record->terminal == 1);
            CHECK(record->ret != BERTH_RET_OK);
        }
        CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/id") < 0; }));
        Context second(host);
        REQUIRE(host.worker() == worker);
        Seen seen;
        uint64_t listener = 0;
        REQUIRE(berth_listen(second.handle(), "tick", Seen::count, &seen, &listener) == BERTH_RET_OK);
        CHECK(second.call("emit", emit(3)).ret == BERTH_RET_OK);
        CHECK(eventually([&] { return seen.events >= 3; }));
        CHECK(second.call("echo", "the second owner's") == Answer{0, "the second owner's"});
        // One segment is mapped at a time, and the last one is gone from the worker.
        std::string maps = read_file("/proc/" + std::to_string(worker) + "/maps");
        size_t segments = 0;
        for (size_t at = 0; (at = maps.find("memfd:berth-segment", at)) != std::string::npos; at++)
            segments++;
        CHECK(segments == 1);
        CHECK(berth_unlisten(second.handle(), listener) == BERTH_RET_OK);
        CHECK(seen.events == 3);
        CHECK(second.close() == BERTH_RET_OK);
        CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/id") < 0; }));
    }
}
