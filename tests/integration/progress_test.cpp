// What a module says of a request that it still works on reaches the host before the answer, and never after it.
#include <cstring>
#include <doctest/doctest.h>

#include "control.h"
#include "control_peer.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "segment_map.h"
#include "service.h"

using namespace berth::test;

namespace {

struct ProbeFolder {
    TempDir folder;
    ProbeFolder() {
        write_file(folder / "probe.toml",
                   "library = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-probe.so\"\n");
    }
};

struct Ordered {
    std::mutex lock;
    std::vector<std::string> said;
    static void note(int ret, const uint8_t *data, size_t len, void *self) {
        auto &ordered = *static_cast<Ordered *>(self);
        std::lock_guard guard(ordered.lock);
        ordered.said.push_back(std::to_string(ret) + " " + std::string(reinterpret_cast<const char *>(data), len));
    }
    bool is_answered() {
        std::lock_guard guard(lock);
        return !said.empty() && said.back()[0] == '0';
    }
};

const std::vector<std::string> kAll = {"3 5000", "3 10000", "0 0 0 -1"};
// What was not fetched before something newer was said of the request is not told any more.
const std::vector<std::string> kNewest = {"3 10000", "0 0 0 -1"};
constexpr OpenOptions kWarned{.stale_warn_ms = 600000};

void check_said(const std::vector<std::string> &said) { CHECK((said == kAll || said == kNewest)); }

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a module's progress comes to the callback as STALE_WARN, before the answer") {
    ProbeFolder probe;
    Host host(Host::Private::FromFolder, probe.folder.path());
    Context context(host, "probe", "", kWarned);
    for (int i = 0; i < 50; i++) {
        Ordered ordered;
        REQUIRE(context.submit("progress", "", Ordered::note, &ordered) == 0);
        CHECK(eventually([&] { return ordered.is_answered(); }));
        check_said(ordered.said);
    }
    CHECK(context.call("progress", "") == Answer{0, "0 0 -1"}); // a blocked caller sees the answer alone
}

TEST_CASE_FIXTURE(LeakChecked, "a module's progress comes to berth_reap as PROGRESS, before the answer") {
    ProbeFolder probe;
    Host host(Host::Private::FromFolder, probe.folder.path());
    Context context(host, "probe", "", kWarned);
    for (size_t capacity : {1u, 2u, 64u}) {
        CAPTURE(capacity);
        std::vector<std::string> said;
        uint64_t id;
        REQUIRE(context.submit("progress", "", nullptr, nullptr, &id) == 0);
        CHECK(eventually([&] {
            berth_completion batch[64];
            int count = berth_reap(context.handle(), batch, capacity, 1000);
            for (int i = 0; i < count; i++) {
                CHECK(batch[i].id == id);
                CHECK(batch[i].kind == (batch[i].ret == 3 ? BERTH_PROGRESS : BERTH_REPLY));
                said.push_back(std::to_string(batch[i].ret) + " " +
                               std::string(reinterpret_cast<const char *>(batch[i].data), batch[i].len));
            }
            return !said.empty() && said.back()[0] == '0';
        }));
        check_said(said);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a host that wants no STALE_WARN gets none from the module either") {
    ProbeFolder probe;
    Host host(Host::Private::FromFolder, probe.folder.path());
    Context context(host, "probe", "", {.stale_warn_ms = UINT32_MAX});
    Record record;
    REQUIRE(context.submit("progress", "", Record::callback, &record) == 0);
    CHECK(eventually([&] { return record.answered(); }));
    CHECK(record.pings == 0);
    CHECK(record.bytes == "0 0 -1");
}

TEST_CASE_FIXTURE(LeakChecked, "a host whose segment is of minor 0 is sent no PROGRESS frame") {
    ProbeFolder probe;
    Service service({.modules = probe.folder.path()});
    ControlPeer peer(service.socket());
    RawSegment segment;
    REQUIRE(segment.header().minor == 0);
    REQUIRE(peer.greet());
    REQUIRE(peer.open(1, "probe", segment.fds()));
    segment.publish(BERTH_RING_REQUEST, {0, BERTH_FRAME_CREATE, 0, uint64_t(1) << 32, 0, 0, 0});
    segment.publish(BERTH_RING_REQUEST,
                    {0, BERTH_FRAME_REQUEST, 0, uint64_t(1) << 32 | 1, method_id("progress"), 0, 0});
    auto *tail = &segment.header().control[BERTH_RING_REPLY].tail;
    CHECK(eventually([&] { return __atomic_load_n(tail, __ATOMIC_ACQUIRE) >= 128; }));
    berth_frame_header second;
    std::memcpy(&second, segment.bytes(BERTH_RING_REPLY) + 64, sizeof second);
    CHECK(second.kind == BERTH_FRAME_REPLY);
    CHECK(std::string(reinterpret_cast<char *>(segment.bytes(BERTH_RING_REPLY)) + 96, second.size) == "1 1 -1");
}
