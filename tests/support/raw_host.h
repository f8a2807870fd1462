// A host of segment major 2 made by hand: control connection, segment, rings and wake socket, each for the test to use
// in any order, or wrongly.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "control_peer.h"
#include "ring.h"

namespace berth::test {

class RawHost {
  public:
    struct Frame {
        berth_frame_header header;
        std::string payload;
    };

    // Connected to a service and welcomed, with a segment that nobody has yet. `change`: the header, before it is sent.
    explicit RawHost(const std::string &socket, const std::function<void(berth_segment_header &)> &change = {});
    // The same over a connection that is there already, which it takes; for a PeerProcess, whose user is the host then.
    explicit RawHost(int connected, const std::function<void(berth_segment_header &)> &change = {});
    ~RawHost();
    RawHost(const RawHost &) = delete;

    ControlPeer &peer() { return peer_; }
    berth_segment_header &header() { return *header_; }
    int memfd() const { return memfd_; }
    int wake() const { return wake_[0]; }        // the end of the socket that is kept
    int worker_wake() const { return wake_[1]; } // and the one that is given away

    // open, with these descriptors behind the two; and the opened that it is answered with: the worker's pid.
    bool ask_open(const std::string &module, uint64_t named = 0, const std::vector<int> &more = {});
    pid_t opened();
    // Both, and CREATE, answered well.
    pid_t open(const std::string &module = "echo", const std::string &config = "");

    // Publishes a frame, and makes the wakeup that is due. The id of a request.
    uint64_t request(const std::string &method, const std::string &payload);
    void create(const std::string &config = "");
    void urgent(uint16_t kind, uint64_t id = 0, uint32_t code = 0);
    void credit(uint64_t id, uint32_t bytes) { urgent(BERTH_FRAME_CREDIT, id, bytes); }

    // The next frame that the worker sent. `wait`: up to the hang bound; without it, what is there.
    std::optional<Frame> next(bool wait = true);
    // The next frame is this request's answer: its payload. Else what it is instead.
    std::string answer(uint64_t id);
    // Says that the worker is to wake it by the socket. False: there is a frame.
    bool prepare_wait() { return berth_ring_prepare_wait(&reply_, BERTH_ASLEEP_FD) == 1; }
    // Sleeps on the socket, within the hang bound, and empties it. False: nothing came.
    bool woken();

  private:
    void prepare(const std::function<void(berth_segment_header &)> &change);
    void publish(berth_ring_name ring, const berth_frame_header &header, const std::string &payload);

    ControlPeer peer_;
    int memfd_, wake_[2];
    berth_segment_header *header_;
    berth_ring_producer request_{}, urgent_{};
    berth_ring_consumer reply_{};
    uint32_t next_slot_ = 1;
};

} // namespace berth::test
