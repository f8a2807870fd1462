#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/channel.h"

using berth::Channel;
using berth::Message;
using berth::UniqueFd;

namespace {

struct Pair {
    Pair() : a(UniqueFd{}), b(UniqueFd{}) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        a = Channel(UniqueFd(ends[0]));
        b = Channel(UniqueFd(ends[1]));
    }
    Channel a, b;
};

UniqueFd some_fd() { return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)); }

int open_fds() {
    int count = 0;
    DIR *dir = ::opendir("/proc/self/fd");
    while (::readdir(dir))
        count++;
    ::closedir(dir);
    return count;
}

Message open_message() {
    Message message(BERTH_MSG_OPEN);
    message.with(BERTH_KEY_SEQ, 7).with_text(BERTH_KEY_MODULE, "echo");
    for (int i = 0; i < 3; i++)
        message.with_fd(some_fd());
    return message;
}

// A packet past all checks of Channel::send.
void send_raw(int socket, const void *bytes, size_t size, size_t fd_count) {
    iovec body{const_cast<void *>(bytes), size};
    alignas(cmsghdr) char room[CMSG_SPACE(16 * sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    auto fd = some_fd();
    if (fd_count) {
        header.msg_control = room;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        for (size_t i = 0; i < fd_count; i++) {
            int number = fd.get();
            std::memcpy(CMSG_DATA(c) + i * sizeof number, &number, sizeof number);
        }
    }
    REQUIRE(::sendmsg(socket, &header, 0) == static_cast<ssize_t>(size));
}

} // namespace

TEST_CASE("a message arrives with its fields and descriptors, all close-on-exec") {
    Pair pair;
    REQUIRE(pair.a.send(open_message()));
    auto got = pair.b.receive(0);
    REQUIRE(got);
    REQUIRE(got->got == Channel::Got::Message);
    Message &message = *got->message;
    CHECK(message.type() == BERTH_MSG_OPEN);
    CHECK(message.number(BERTH_KEY_SEQ) == 7);
    CHECK(message.text(BERTH_KEY_MODULE) == "echo");
    CHECK_FALSE(message.has(BERTH_KEY_TIMEOUT_MS));
    REQUIRE(message.fds().size() == 3);
    struct stat file, null;
    REQUIRE(::stat("/dev/null", &null) == 0);
    for (int i = 0; i < 3; i++) {
        UniqueFd fd = message.take_fd(static_cast<size_t>(i));
        REQUIRE(::fstat(fd.get(), &file) == 0);
        CHECK(file.st_rdev == null.st_rdev);
        CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("an open of two descriptors and more that it names arrives with all of them, in order") {
    Pair pair;
    Message message(BERTH_MSG_OPEN);
    message.with(BERTH_KEY_SEQ, 7)
        .with_text(BERTH_KEY_MODULE, "echo")
        .with(BERTH_KEY_DESCRIPTORS, BERTH_DESCRIPTOR_CWD | BERTH_DESCRIPTOR_WORKER_STATS);
    ino_t sent[4];
    for (ino_t &inode : sent) {
        struct stat file;
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        REQUIRE(::fstat(ends[0], &file) == 0);
        ::close(ends[1]);
        inode = file.st_ino;
        message.with_fd(UniqueFd(ends[0]));
    }
    REQUIRE(pair.a.send(message));
    auto got = pair.b.receive(0);
    REQUIRE(got);
    REQUIRE(got->got == Channel::Got::Message);
    CHECK(got->message->needed_fds() == 2);
    REQUIRE(got->message->fds().size() == 4);
    for (size_t i = 0; i < 4; i++) {
        struct stat file;
        REQUIRE(::fstat(got->message->fds()[i].get(), &file) == 0);
        CHECK(file.st_ino == sent[i]);
    }
}

TEST_CASE("messages stay apart and in order") {
    Pair pair;
    for (uint64_t seq = 0; seq < 20; seq++) {
        Message message(BERTH_MSG_STATUS);
        message.with(BERTH_KEY_SEQ, seq);
        REQUIRE(pair.a.send(message));
    }
    for (uint64_t seq = 0; seq < 20; seq++) {
        auto got = pair.b.receive(MSG_DONTWAIT);
        REQUIRE(got);
        REQUIRE(got->got == Channel::Got::Message);
        CHECK(got->message->number(BERTH_KEY_SEQ) == seq);
    }
    auto none = pair.b.receive(MSG_DONTWAIT);
    REQUIRE(none);
    CHECK(none->got == Channel::Got::Nothing);
}

TEST_CASE("the other end's close is the end, not an error") {
    Pair pair;
    pair.a = Channel(UniqueFd{});
    auto got = pair.b.receive(0);
    REQUIRE(got);
    CHECK(got->got == Channel::Got::End);
    auto sent = pair.b.send(Message(BERTH_MSG_RETIRE));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().ret == 12);
}

TEST_CASE("descriptors that do not belong to the message are an error, and are closed") {
    Pair pair;
    int before = open_fds();
    const uint8_t retire[] = {0xa1, 0x00, BERTH_MSG_RETIRE};
    for (size_t count : {size_t{1}, size_t{4}, size_t{8}, size_t{9}, size_t{10}, size_t{16}}) {
        send_raw(pair.a.fd(), retire, sizeof retire, count);
        auto got = pair.b.receive(0);
        REQUIRE_FALSE(got);
        CHECK(got.error().ret == 14);
        CHECK(got.error().text.find("descriptors") != std::string::npos);
        CHECK(open_fds() == before);
    }
    send_raw(pair.a.fd(), retire, sizeof retire, 0);
    CHECK(pair.b.receive(0));
}

TEST_CASE("an empty packet is the end, and what it brings is closed") {
    Pair pair;
    int before = open_fds();
    send_raw(pair.a.fd(), "", 0, 4);
    auto got = pair.b.receive(0);
    REQUIRE(got);
    CHECK(got->got == Channel::Got::End);
    CHECK(open_fds() == before);
}

TEST_CASE("a packet over the limit is an error, one at the limit is read") {
    Pair pair;
    std::vector<uint8_t> packet(BERTH_CONTROL_MAX_PACKET + 1);
    send_raw(pair.a.fd(), packet.data(), packet.size(), 0);
    auto got = pair.b.receive(0);
    REQUIRE_FALSE(got);
    CHECK(got.error().text == "a packet of more than 65536 bytes");

    // {0: 11, 7: text} with a text that fills the packet
    const uint8_t head[] = {0xa2, 0x00, BERTH_MSG_LOAD_FAILED, BERTH_KEY_TEXT, 0x79, 0xff, 0xf9};
    packet.assign(BERTH_CONTROL_MAX_PACKET, 'x');
    std::memcpy(packet.data(), head, sizeof head);
    send_raw(pair.a.fd(), packet.data(), packet.size(), 0);
    auto full = pair.b.receive(0);
    REQUIRE(full);
    CHECK(full->message->text(BERTH_KEY_TEXT).size() == 0xfff9);
}

TEST_CASE("a packet that cannot be says why") {
    Pair pair;
    send_raw(pair.a.fd(), "\xa1\x00\x18\x63", 4, 0);
    auto got = pair.b.receive(0);
    REQUIRE_FALSE(got);
    CHECK(got.error().text == "unknown message type 99");
}

TEST_CASE("a message with the wrong number of descriptors is not sent") {
    Pair pair;
    Message few(BERTH_MSG_STATUS_REPLY), many(BERTH_MSG_RETIRE);
    few.with(BERTH_KEY_SEQ, 1);
    for (int i = 0; i < 9; i++)
        many.with_fd(some_fd());
    CHECK_FALSE(pair.a.send(few));
    CHECK_FALSE(pair.a.send(many));
    CHECK(pair.b.receive(MSG_DONTWAIT)->got == Channel::Got::Nothing);
}

TEST_CASE("a peer that does not read makes send say busy, not wait") {
    Pair pair;
    Message message(BERTH_MSG_RETIRE);
    for (int i = 0; i < 100000; i++) {
        auto sent = pair.a.send(message);
        if (sent)
            continue;
        CHECK(sent.error().ret == 7);
        return;
    }
    FAIL("never full");
}

TEST_CASE("a text that is no UTF-8 is sent as one that is") {
    Pair pair;
    const std::string_view said[] = {"caf\xe9", "\xff\xfe", "caf\xc3\xa9 \xe2\x82", "\xed\xa0\x80", "plain"};
    const std::string_view heard[] = {"caf\\xe9", "\\xff\\xfe", "caf\xc3\xa9 \\xe2\\x82", "\\xed\\xa0\\x80", "plain"};
    for (size_t i = 0; i < std::size(said); i++) {
        REQUIRE(pair.a.send(Message(BERTH_MSG_LOAD_FAILED).with_text(BERTH_KEY_TEXT, said[i])));
        auto received = pair.b.receive(MSG_DONTWAIT);
        REQUIRE(received);
        REQUIRE(received->got == Channel::Got::Message);
        CHECK(received->message->text(BERTH_KEY_TEXT) == heard[i]);
    }
}
