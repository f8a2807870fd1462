#include "raw_host.h"

#include <cstring>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"
#include "processes.h"

namespace berth::test {
namespace {

constexpr uint64_t kGeneration = uint64_t{1} << 32;
constexpr uint32_t kSlots = 4096;

bool welcomed(ControlPeer &peer) {
    berth_control_message hello;
    berth_control_init(&hello, BERTH_MSG_HELLO);
    berth_control_set_uint(&hello, BERTH_KEY_VERSION_MIN, BERTH_CONTROL_VERSION_MIN);
    berth_control_set_uint(&hello, BERTH_KEY_VERSION_MAX, BERTH_CONTROL_VERSION_MAX);
    berth_control_set_uint(&hello, BERTH_KEY_FEATURES, 0);
    if (!peer.send(hello))
        return false;
    auto packet = peer.receive();
    auto welcome = packet.message();
    return welcome.type == BERTH_MSG_WELCOME && welcome.fields[BERTH_KEY_VERSION].number == BERTH_CONTROL_VERSION_MAX;
}

} // namespace

RawHost::RawHost(const std::string &socket, const std::function<void(berth_segment_header &)> &change)
    : peer_(socket) {
    prepare(change);
}

RawHost::RawHost(int connected, const std::function<void(berth_segment_header &)> &change) : peer_(connected) {
    prepare(change);
}

void RawHost::prepare(const std::function<void(berth_segment_header &)> &change) {
    memfd_ = ::memfd_create("berth-raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t size = berth_default_size(BERTH_SEGMENT_MAJOR);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wake_) == 0);
    REQUIRE(::ftruncate(memfd_, static_cast<off_t>(size)) == 0);
    REQUIRE(::fcntl(memfd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    void *map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_, 0);
    REQUIRE(map != MAP_FAILED);
    header_ = static_cast<berth_segment_header *>(map);
    header_->magic = BERTH_SEGMENT_MAGIC;
    header_->major = BERTH_SEGMENT_MAJOR;
    header_->segment_size = size;
    header_->max_payload = BERTH_MAX_PAYLOAD;
    header_->max_in_flight = kSlots;
    for (uint32_t ring = 0; ring < BERTH_RING_COUNT; ring++)
        header_->rings[ring] = {berth_default_offset(BERTH_SEGMENT_MAJOR, ring), berth_default_capacity(ring)};
    auto *bytes = static_cast<uint8_t *>(map);
    auto at = [&](uint32_t ring) { return bytes + header_->rings[ring].offset; };
    berth_ring_attach_producer(&request_, &header_->control[0], at(0), header_->rings[0].capacity);
    berth_ring_attach_consumer(&reply_, &header_->control[1], at(1), header_->rings[1].capacity);
    berth_ring_attach_producer(&urgent_, &header_->control[3], at(3), header_->rings[3].capacity);
    if (change)
        change(*header_);
    REQUIRE(welcomed(peer_));
}

RawHost::~RawHost() {
    ::munmap(header_, berth_default_size(BERTH_SEGMENT_MAJOR));
    ::close(memfd_);
    for (int fd : wake_)
        ::close(fd);
}

bool RawHost::ask_open(const std::string &module, uint64_t named, const std::vector<int> &more) {
    berth_control_message open;
    std::vector<int> fds{memfd_, wake_[1]};
    berth_control_init(&open, BERTH_MSG_OPEN);
    berth_control_set_uint(&open, BERTH_KEY_SEQ, 1);
    berth_control_set_text(&open, BERTH_KEY_MODULE, module.data(), module.size());
    if (named)
        berth_control_set_uint(&open, BERTH_KEY_DESCRIPTORS, named);
    fds.insert(fds.end(), more.begin(), more.end());
    return peer_.send(open, fds);
}

pid_t RawHost::opened() {
    auto packet = peer_.receive();
    auto message = packet.message();
    for (int fd : packet.fds)
        ::close(fd);
    return message.type == BERTH_MSG_OPENED ? static_cast<pid_t>(message.fields[BERTH_KEY_PID].number) : -1;
}

pid_t RawHost::open(const std::string &module, const std::string &config) {
    REQUIRE(ask_open(module));
    create(config);
    pid_t pid = opened();
    REQUIRE(pid > 0);
    CHECK(answer(kGeneration) == "\xf6");
    return pid;
}

void RawHost::publish(berth_ring_name ring, const berth_frame_header &header, const std::string &payload) {
    auto &producer = ring == BERTH_RING_URGENT ? urgent_ : request_;
    uint8_t *room = nullptr;
    REQUIRE(berth_ring_reserve(&producer, header.size, &room) == 0);
    std::memcpy(room, payload.data(), payload.size());
    uint32_t due = berth_ring_commit(&producer, &header);
    if (due == BERTH_ASLEEP_FUTEX)
        berth_ring_wake_futex(producer.control);
    else if (due == BERTH_ASLEEP_FD)
        (void)!::send(wake_[0], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void RawHost::create(const std::string &config) {
    publish(BERTH_RING_REQUEST,
            {static_cast<uint32_t>(config.size()), BERTH_FRAME_CREATE, 0, kGeneration, 0, 0, 0}, config);
}

uint64_t RawHost::request(const std::string &method, const std::string &payload) {
    uint64_t id = kGeneration | next_slot_++;
    publish(BERTH_RING_REQUEST,
            {static_cast<uint32_t>(payload.size()), BERTH_FRAME_REQUEST, 0, id, method_id(method), 0, 0}, payload);
    return id;
}

void RawHost::urgent(uint16_t kind, uint64_t id, uint32_t code) {
    publish(BERTH_RING_URGENT, {0, kind, 0, id, code, 0, 0}, "");
}

std::optional<RawHost::Frame> RawHost::next(bool wait) {
    Frame frame;
    const uint8_t *payload = nullptr;
    int rc = 0;
    eventually([&] {
        rc = berth_ring_peek(&reply_, &frame.header, &payload);
        return rc != 0 || !wait;
    });
    if (rc != 1)
        return std::nullopt;
    frame.payload.assign(reinterpret_cast<const char *>(payload), frame.header.size);
    berth_ring_advance(&reply_);
    return frame;
}

std::string RawHost::answer(uint64_t id) {
    auto frame = next();
    if (!frame)
        return "no frame";
    if (frame->header.kind != BERTH_FRAME_REPLY || frame->header.id != id)
        return "a frame of kind " + std::to_string(frame->header.kind) + ", id " + std::to_string(frame->header.id);
    return frame->header.code == 0 ? frame->payload : std::to_string(frame->header.code) + ": " + frame->payload;
}

bool RawHost::woken() {
    char bytes[64];
    pollfd poll{wake_[0], POLLIN, 0};
    auto bound = std::chrono::milliseconds(kHangBound).count();
    bool came = ::poll(&poll, 1, static_cast<int>(bound)) == 1 && ::recv(wake_[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0;
    berth_ring_finish_wait(&reply_);
    return came;
}

} // namespace berth::test
