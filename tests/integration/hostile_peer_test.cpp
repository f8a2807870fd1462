// Peers of berthd that break the control protocol: each is cut off with a logged reason, and nobody else notices.
#include <doctest/doctest.h>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <unistd.h>

#include "cbor_text.h"
#include "control_peer.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

// A host at work beside the hostile one.
class Bystander {
  public:
    explicit Bystander(const Service &service) : host_(service.socket()), context_(host_) {
        thread_ = std::thread([this] {
            while (!stop_)
                (context_.call("echo", "calm") == Answer{0, "calm"} ? right_ : wrong_)++;
        });
    }
    ~Bystander() {
        int before = right_;
        CHECK(eventually([&] { return right_ > before + 10; }));
        stop_ = true;
        thread_.join();
        CHECK(wrong_ == 0);
        CHECK(Context(host_).call("echo", "new") == Answer{0, "new"});
    }

  private:
    Host host_;
    Context context_;
    std::atomic<bool> stop_{false};
    std::atomic<int> right_{0}, wrong_{0};
    std::thread thread_;
};

size_t cut_offs(const Service &service) {
    std::string log = service.log();
    size_t count = 0;
    for (size_t at = 0; (at = log.find("is disconnected: ", at)) != std::string::npos; at++)
        count++;
    return count;
}

std::string map_with(std::initializer_list<uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

void check_cut_off(const Service &service, ControlPeer &peer) {
    size_t before = cut_offs(service);
    CHECK(peer.cut_off());
    CHECK(eventually([&] { return cut_offs(service) >= 1 || cut_offs(service) > before; }));
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "malformed control messages of many kinds end that connection, with a logged reason") {
    Service service;
    Bystander bystander(service);
    const std::map<std::string, std::string> packets = {
        {"garbage", std::string("\xff\xfe\xfd")},
        {"text, no map", map_with({0x63, 'a', 'b', 'c'})},
        {"an empty map", map_with({0xa0})},
        {"no such type", map_with({0xa1, 0x00, 0x18, 99})},
        {"the supervisor's own message", map_with({0xa1, 0x00, 0x02})},
        {"a worker's message", map_with({0xa2, 0x00, 0x0d, 0x0a, 0x01})},
        {"hello without versions", map_with({0xa1, 0x00, 0x01})},
        {"a key twice", map_with({0xa4, 0x00, 0x01, 0x02, 0x01, 0x02, 0x01, 0x03, 0x01})},
        {"bytes behind the map", map_with({0xa3, 0x00, 0x01, 0x02, 0x01, 0x03, 0x01, 0x00})},
        {"a map without end", map_with({0xbf, 0x00, 0x01, 0x02, 0x01, 0x03, 0x01, 0xff})},
        {"a length past the packet", map_with({0xa4, 0x00, 0x01, 0x02, 0x01, 0x03, 0x01, 0x05, 0x7a, 0x7f, 0xff, 0xff, 0xff})},
        {"text that is no UTF-8", map_with({0xa4, 0x00, 0x01, 0x02, 0x01, 0x03, 0x01, 0x05, 0x62, 0xc0, 0x80})},
        {"a negative number", map_with({0xa3, 0x00, 0x01, 0x02, 0x20, 0x03, 0x01})},
        {"a nested map", map_with({0xa4, 0x00, 0x01, 0x02, 0x01, 0x03, 0x01, 0x18, 60, 0xa0})},
        {"versions nobody speaks", map_with({0xa3, 0x00, 0x01, 0x02, 0x18, 90, 0x03, 0x18, 91})},
        {"64 KiB of zeros", std::string(65536, '\0')},
    };
    size_t expected = 0;
    for (const auto &[name, packet] : packets) {
        CAPTURE(name);
        ControlPeer peer(service.socket());
        CHECK(peer.send(packet));
        CHECK(peer.cut_off());
        expected++;
        CHECK(eventually([&] { return cut_offs(service) >= expected; }));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "messages at the wrong time, and names of what is not the peer's own") {
    Service service;
    Bystander bystander(service);
    const std::string hello = map_with({0xa3, 0x00, 0x01, 0x02, 0x01, 0x03, 0x01});
    const std::string status = map_with({0xa2, 0x00, 0x08, 0x01, 0x01});
    const std::string closing_other = map_with({0xa3, 0x00, 0x06, 0x0a, 0x01, 0x09, 0x01});
    const std::string closing_future = map_with({0xa3, 0x00, 0x06, 0x0a, 0x19, 0xff, 0xff, 0x09, 0x01});
    {
        ControlPeer peer(service.socket());
        CHECK(peer.send(status)); // before hello
        check_cut_off(service, peer);
    }
    for (const std::string &second : {hello, closing_other, closing_future}) {
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        CHECK(peer.send(second));
        check_cut_off(service, peer);
    }
    CHECK(eventually([&] { return cut_offs(service) == 4; })); // the log comes through a pipe
}

TEST_CASE_FIXTURE(LeakChecked, "descriptors too many, too few or of the wrong kind") {
    Service service;
    Bystander bystander(service);
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const std::string open = map_with({0xa3, 0x00, 0x04, 0x01, 0x01, 0x08, 0x64, 'e', 'c', 'h', 'o'});
    const std::string status = map_with({0xa2, 0x00, 0x08, 0x01, 0x01});
    for (int count : {0, 1, 2, 4, 5, 100, 253}) {
        CAPTURE(count);
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        CHECK(peer.send(open, std::vector<int>(static_cast<size_t>(count), pipe[0])));
        check_cut_off(service, peer);
    }
    {
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        CHECK(peer.send(status, {pipe[0]}));
        check_cut_off(service, peer);
    }
    { // three pipes: the worker finds that they are no segment
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        CHECK(peer.send(open, {pipe[0], pipe[0], pipe[0]}));
        check_cut_off(service, peer);
    }
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE_FIXTURE(LeakChecked, "a peer that never reads, and many that connect and say nothing, hold nobody up") {
    Service service;
    Bystander bystander(service);
    ControlPeer flood(service.socket());
    REQUIRE(flood.greet());
    const std::string status = map_with({0xa2, 0x00, 0x08, 0x01, 0x01});
    std::thread sender([&] {
        for (int i = 0; i < 20000 && flood.send(status); i++) {
        }
    });
    std::vector<std::unique_ptr<ControlPeer>> silent;
    for (int i = 0; i < 50; i++)
        silent.push_back(std::make_unique<ControlPeer>(service.socket()));
    Host host(service.socket());
    CHECK(Context(host).call("echo", "beside") == Answer{0, "beside"});
    sender.join(); // only then read: who reads is not cut off
    CHECK(flood.cut_off());
}
