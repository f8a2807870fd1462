// What a user's workers say of their module is told to that user, and to root as what it is.
#include <algorithm>
#include <cstring>
#include <doctest/doctest.h>
#include <memory>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "manifests.h"
#include "peer_process.h"
#include "program.h"
#include "raw_host.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr uid_t kUid = 47114, kWithout = 47115, kSilent = 47116; // the module cannot work for kWithout
const std::string kFailure = "berth_module() returned NULL: the module cannot work here";

bool can_be_others() {
    auto module = needed_variable("BERTH_TEST_MODULES") + "/libberth-two-faced.so";
    bool can = ::geteuid() == 0 && run_program({"test", "-x", needed_variable("BERTH_WORKER")}, {}, kUid).status == 0 &&
               run_program({"test", "-r", module}, {}, kUid).status == 0;
    if (!can)
        MESSAGE("not root, or the build tree is closed to other users: not tested");
    return can;
}

User user_of(uid_t uid) { return {.uid = uid, .gid = uid, .groups = {{}}}; }

class UserHost {
  public:
    UserHost(const std::string &socket, uid_t uid)
        : process_(socket, user_of(uid)), host_(::dup(process_.peer().fd())) {
        host_.peer().speak_as(process_.pid(), uid, uid);
    }
    RawHost &raw() { return host_; }

  private:
    PeerProcess process_;
    RawHost host_;
};

std::string text_of(const berth_control_field &field) {
    return {reinterpret_cast<const char *>(field.data), field.len};
}

// An open's methods by what `opened` says, which must be one; or the text of its refusal.
std::string open_words(RawHost &host) {
    if (!host.ask_open("two-faced"))
        return "not sent";
    auto packet = host.peer().receive();
    auto message = packet.message();
    for (int fd : packet.fds)
        ::close(fd);
    if (message.type == BERTH_MSG_REFUSED)
        return text_of(message.fields[BERTH_KEY_TEXT]);
    auto ids = text_of(message.fields[BERTH_KEY_METHODS]);
    for (uid_t uid : {0u, kUid, kWithout, kSilent}) {
        std::string name = "of_" + std::to_string(uid);
        uint32_t id = berth_method_id(name.data(), name.size());
        if (message.type == BERTH_MSG_OPENED && ids.size() == sizeof id && std::memcmp(ids.data(), &id, sizeof id) == 0)
            return name;
    }
    return "of nobody";
}

std::string status_of(RawHost &host) {
    berth_control_message ask{};
    ask.type = BERTH_MSG_STATUS;
    berth_control_set_uint(&ask, BERTH_KEY_SEQ, 77);
    REQUIRE(host.peer().send(ask));
    auto packet = host.peer().receive();
    REQUIRE(packet.message().type == BERTH_MSG_STATUS_REPLY);
    REQUIRE(packet.fds.size() == 1);
    std::string bytes(1 << 20, 0);
    ssize_t size = ::pread(packet.fds[0], bytes.data(), bytes.size(), 0);
    ::close(packet.fds[0]);
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return bytes;
}

std::string version_in(const std::string &status) { return text_at(status, "/modules/0/version"); }
std::string method_in(const std::string &status) { return text_at(status, "/modules/0/methods/0"); }
std::string error_in(const std::string &status) { return text_at(status, "/modules/0/error"); }
bool is_there(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "what one user's workers say of a module reaches no other user") {
    if (!can_be_others())
        return;
    Manifests modules;
    modules.add_test_module("two-faced");
    Service service({.modules = modules.path()});
    service.open_to_all();
    Host root(service.socket());
    CHECK(open_words(*std::make_unique<RawHost>(service.socket())) == "of_0");
    REQUIRE(eventually([&] { return text_at(root.status().bytes, "/workers/0/state") == "Idle"; }));

    UserHost user(service.socket(), kUid);
    CHECK(open_words(user.raw()) == "of_47114");
    CHECK(open_words(*std::make_unique<RawHost>(service.socket())) == "of_0"); // by the worker that was ready before
    UserHost without(service.socket(), kWithout);
    CHECK(is_there(open_words(without.raw()), kFailure));

    std::string of_user = status_of(user.raw());
    CHECK(version_in(of_user) == "for 47114");
    CHECK(method_in(of_user) == "of_47114");
    CHECK(error_in(of_user) == "");
    std::string of_without = status_of(without.raw());
    CHECK(version_in(of_without) == "");
    CHECK(method_in(of_without) == "");
    CHECK(is_there(error_in(of_without), kFailure));
    std::string of_silent = status_of(UserHost(service.socket(), kSilent).raw());
    for (const auto &told : {json(of_silent), json(of_user), json(of_without)})
        CHECK_FALSE(is_there(told, "differs"));
    CHECK_FALSE(is_there(json(of_silent), "for 47114"));
    CHECK_FALSE(is_there(json(of_silent), kFailure));

    std::string of_root = root.status().bytes;
    CHECK(version_in(of_root) == "for 0");
    CHECK(method_in(of_root) == "of_0");
    CHECK(error_in(of_root) == "");
    CHECK(number_at(of_root, "/modules/0/differs/0/uid") == kUid);
    CHECK(text_at(of_root, "/modules/0/differs/0/version") == "for 47114");
    CHECK(text_at(of_root, "/modules/0/differs/0/methods/0") == "of_47114");
    CHECK(number_at(of_root, "/modules/0/differs/1/uid") == kWithout);
    CHECK(is_there(text_at(of_root, "/modules/0/differs/1/error"), kFailure));
}
