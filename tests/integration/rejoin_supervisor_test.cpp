// A supervisor that dies in the middle of an open, step by step: the test plays it, and the worker too.
#include <doctest/doctest.h>
#include <filesystem>
#include <optional>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#include "berth/berth.h"
#include "false_supervisor.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "ring_abi.h"

using namespace berth::test;

namespace {

// An open as it came: the header of its segment, and what it says.
class Asked {
  public:
    explicit Asked(ControlPeer &peer) {
        auto packet = peer.receive();
        auto message = packet.message();
        REQUIRE(message.type == BERTH_MSG_OPEN);
        REQUIRE(packet.fds.size() == 2);
        seq = message.fields[BERTH_KEY_SEQ].number;
        attempt = message.fields[BERTH_KEY_ATTEMPT].number;
        void *map = ::mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_SHARED, packet.fds[0], 0);
        REQUIRE(map != MAP_FAILED);
        header = static_cast<berth_segment_header *>(map);
        urgent_offset_ = header->rings[BERTH_RING_URGENT].offset;
        for (int fd : packet.fds)
            ::close(fd);
    }
    ~Asked() { ::munmap(header, kMapped); }
    Asked(const Asked &) = delete;

    // As a worker does for the lease of that attempt.
    bool take(uint64_t of_attempt) {
        auto free = static_cast<uint32_t>(of_attempt << 1);
        return __atomic_compare_exchange_n(&header->lease_claim, &free, free | 1, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    }
    bool told_to_close() const {
        auto *frame = reinterpret_cast<berth_frame_header *>(reinterpret_cast<uint8_t *>(header) + urgent_offset_);
        return __atomic_load_n(&header->control[BERTH_RING_URGENT].tail, __ATOMIC_SEQ_CST) > 0 &&
               frame->kind == BERTH_FRAME_CLOSE;
    }

    uint64_t seq = 0, attempt = 0;
    berth_segment_header *header = nullptr;

  private:
    static constexpr size_t kMapped = BERTH_SEGMENT_HEADER_SIZE + 3 * BERTH_RING_CAPACITY + BERTH_URGENT_CAPACITY;
    uint64_t urgent_offset_ = 0;
};

struct Connected {
    TempDir folder;
    std::optional<FalseSupervisor> supervisor;
    std::optional<Host> host;
    std::unique_ptr<ControlPeer> peer;
    Connected() {
        supervisor.emplace(folder / "sock");
        std::thread connecting([this] { host.emplace(folder / "sock"); });
        peer = supervisor->accept_host();
        connecting.join();
    }
};

void refuse(ControlPeer &peer, uint64_t seq) {
    berth_control_message refused;
    berth_control_init(&refused, BERTH_MSG_REFUSED);
    berth_control_set_uint(&refused, BERTH_KEY_SEQ, seq);
    berth_control_set_uint(&refused, BERTH_KEY_RET, BERTH_RET_EXHAUSTED);
    berth_control_set_text(&refused, BERTH_KEY_TEXT, "said the next", 13);
    CHECK(peer.send(refused));
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "an open that no worker took goes to the next supervisor, and the last one's lease is void") {
    Connected connected;
    Record done;
    berth_context context{0};
    REQUIRE(berth_open_submit(connected.host->handle(), "m", "config", 6, nullptr, Record::callback, &done, &context) ==
            BERTH_RET_OK);
    std::optional<Asked> last(*connected.peer);
    CHECK(last->attempt == 0);
    for (uint64_t attempt = 1; attempt <= 3; attempt++) {
        connected.peer.reset(); // it dies
        connected.peer = connected.supervisor->accept_host();
        CHECK(!last->take(attempt - 1)); // a worker that reads its lease only now
        last.emplace(*connected.peer);
        CHECK(last->attempt == attempt);
        CHECK(!last->told_to_close());
    }
    CHECK(!done.answered());
    CHECK(last->take(3));
    refuse(*connected.peer, last->seq);
    CHECK(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_EXHAUSTED);
    CHECK(done.bytes == "said the next");
}

TEST_CASE_FIXTURE(LeakChecked, "an open that a worker took is UNAVAILABLE, the worker is told to end, and nobody else is asked") {
    Connected connected;
    Record done, next;
    berth_context context{0};
    REQUIRE(berth_open_submit(connected.host->handle(), "m", nullptr, 0, nullptr, Record::callback, &done, &context) ==
            BERTH_RET_OK);
    Asked asked(*connected.peer);
    CHECK(asked.take(0));
    connected.peer.reset();
    CHECK(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_UNAVAILABLE);
    CHECK(eventually([&] { return asked.told_to_close(); }));
    REQUIRE(berth_open_submit(connected.host->handle(), "n", nullptr, 0, nullptr, Record::callback, &next, &context) ==
            BERTH_RET_OK);
    connected.peer = connected.supervisor->accept_host();
    Asked other(*connected.peer); // the first that comes is the new one
    CHECK(other.attempt == 0);
    CHECK(other.seq != asked.seq);
    refuse(*connected.peer, other.seq);
    CHECK(eventually([&] { return next.answered(); }));
    CHECK(done.terminal == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "another user's socket at the service's path is told nothing") {
    if (::geteuid() != 0) {
        MESSAGE("needs root: not run");
        return;
    }
    Connected connected;
    std::filesystem::permissions(connected.folder.path(), std::filesystem::perms(0777));
    Record done;
    berth_context context{0};
    berth_open_options options{sizeof options, 0, 0, 0, 1000, 0, {}};
    connected.peer.reset();
    connected.supervisor.emplace(connected.folder / "sock", 65534);
    REQUIRE(::chown((connected.folder / "sock").c_str(), 0, 0) == 0); // so that only who listens tells
    berth_open_submit(connected.host->handle(), "m", nullptr, 0, &options, Record::callback, &done, &context);
    for (int i = 0; i < 3; i++) {
        auto peer = connected.supervisor->accept();
        REQUIRE(peer);
        auto packet = peer->receive();
        CHECK(packet.end);
        CHECK(packet.bytes.empty());
    }
    CHECK(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_UNAVAILABLE);
    connected.supervisor.emplace(connected.folder / "sock"); // the right one again
    berth_open_submit(connected.host->handle(), "m", nullptr, 0, nullptr, Record::callback, &done, &context);
    connected.peer = connected.supervisor->accept_host();
    Asked asked(*connected.peer);
    refuse(*connected.peer, asked.seq);
    CHECK(eventually([&] { return done.terminal == 2; }));
}
