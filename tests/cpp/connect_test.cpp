// What a connection that fails says, data on a request's way, and a fork.
#include <cstdlib>
#include <functional>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixture.h"

using namespace berth;
using namespace berth::test;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// For the private supervisors of this program, meanwhile.
class WithDaemon {
  public:
    explicit WithDaemon(const std::string &path) { ::setenv("BERTH_DAEMON", path.c_str(), 1); }
    ~WithDaemon() { ::setenv("BERTH_DAEMON", before_.c_str(), 1); }

  private:
    std::string before_ = needed_variable("BERTH_DAEMON");
};

// A socket that listens, and that nobody but root may connect to.
class ForbiddenSocket {
  public:
    ForbiddenSocket() : fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(fd_, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd_, 1) == 0);
        REQUIRE(::chmod(path().c_str(), 0) == 0);
    }
    ~ForbiddenSocket() { ::close(fd_); }
    std::string path() const { return folder_ / "forbidden.sock"; }

  private:
    TempDir folder_;
    int fd_;
};

// A socket where nobody listens, of somebody else's.
std::string deserted_socket(const std::string &path, uid_t owner) {
    int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    ::close(fd);
    REQUIRE(::chown(path.c_str(), owner, owner) == 0);
    return path;
}

// On a thread that opens files and sockets as somebody else, where this program is root's.
void unprivileged(const std::function<void()> &body) {
    std::thread thread([&] {
        if (::geteuid() == 0)
            ::setfsuid(65534);
        body();
    });
    thread.join();
    ::prctl(PR_SET_DUMPABLE, 1); // a change of user takes it from the whole process
}

ConnectOptions service_at(const std::string &path) {
    ConnectOptions options;
    options.supervisor = ConnectOptions::Supervisor::Service;
    options.socket_path = path;
    return options;
}

std::string stream(int count, int bytes) {
    return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": " + std::to_string(bytes) + "}");
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "where there is no service the error names path and cause") {
    TempDir folder;
    Result<Client> client = Client::connect(service_at(folder / "nobody.sock"));
    REQUIRE(client.ret() == BERTH_RET_UNAVAILABLE);
    CHECK(client.error().text() == "cannot connect to " + (folder / "nobody.sock") + ": No such file or directory");
    CHECK(client.error().message() == "UNAVAILABLE: " + client.error().text());
}

TEST_CASE_FIXTURE(LeakChecked, "a supervisor that cannot be started is named, and the service that was tried before it") {
    TempDir folder;
    WithDaemon missing(folder / "no-berthd");
    ConnectOptions options;
    options.socket_path = folder / "nobody.sock";
    Result<Client> any = Client::connect(options);
    REQUIRE(any.ret() == BERTH_RET_UNAVAILABLE);
    CHECK(has(any.error().text(), folder / "nobody.sock: No such file or directory"));
    CHECK(has(any.error().text(), folder / "no-berthd: No such file or directory"));
    options.supervisor = ConnectOptions::Supervisor::Private;
    Result<Client> own = Client::connect(options);
    REQUIRE(own.ret() == BERTH_RET_UNAVAILABLE);
    CHECK(!has(own.error().text(), "nobody.sock"));
    CHECK(has(own.error().text(), folder / "no-berthd: No such file or directory"));
}

TEST_CASE_FIXTURE(LeakChecked, "a socket that does not admit us is DENIED, with path and cause") {
    ForbiddenSocket socket;
    Result<Client> client = Error(BERTH_RET_ERR);
    unprivileged([&] { client = Client::connect(service_at(socket.path())); });
    REQUIRE(client.ret() == BERTH_RET_DENIED);
    CHECK(client.error().text() == "cannot connect to " + socket.path() + ": Permission denied");
}

TEST_CASE_FIXTURE(LeakChecked, "a named socket of another user is trusted where the caller says so") {
    if (::geteuid() != 0) {
        MESSAGE("not root: not tested");
        return;
    }
    TempDir folder;
    ConnectOptions options = service_at(deserted_socket(folder / "sock", 47211));
    CHECK(Client::connect(options).error().message() ==
          "UNAVAILABLE: cannot trust " + options.socket_path + ": it belongs to user 47211");
    options.supervisor = ConnectOptions::Supervisor::Any;
    CHECK(Client::connect(options).ret() == BERTH_RET_UNAVAILABLE);
    options = service_at(options.socket_path);
    options.socket_owner = 47211;
    CHECK(Client::connect(options).error().message() ==
          "UNAVAILABLE: cannot connect to " + options.socket_path + ": Connection refused");
}

TEST_CASE_FIXTURE(LeakChecked, "data on a request's way is no answer, and nobody has to read it") {
    Client client = connected();
    Context context = client.open("echo").value();
    // More than may be unread, so the module would wait for good if nobody took it.
    auto large = context.async("stream", stream(64, 65536));
    auto empty = context.async("stream", stream(3, 0));
    std::atomic<int> answers{0};
    REQUIRE(context.submit("stream", stream(100, 8), [&](const Answer &answer) { answers += answer.ok() ? 1 : 1000; }));
    CHECK(context.call("stream", stream(64, 65536), kMinute).value().text() == cbor("64"));
    for (auto *future : {&large, &empty})
        REQUIRE(future->wait_for(kMinute) == std::future_status::ready);
    CHECK(large.get().value().text() == cbor("64"));
    CHECK(empty.get().value().text() == cbor("3"));
    CHECK(context.close().value().outcome == Closed::Outcome::Drained);
    CHECK(answers == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "in a fork a context is FORKED, and its end waits for nothing, whatever was in flight") {
    Client client = connected();
    Context closed = client.open("echo").value(), dropped = client.open("echo").value();
    std::future<Result<Reply>> flying[] = {closed.async("later", later_request(300, "x")),
                                           dropped.async("later", later_request(300, "x"))};
    int mistakes = in_a_fork([&] {
        int wrong = closed.call("echo", "x", kMinute).ret() != BERTH_RET_FORKED;
        wrong += closed.close().ret() != BERTH_RET_FORKED;
        dropped = Context();
        return wrong + (client.disconnect().ret() != BERTH_RET_FORKED);
    });
    CHECK(mistakes == 0);
    for (auto &future : flying)
        CHECK(future.get().value().text() == "x");
}
