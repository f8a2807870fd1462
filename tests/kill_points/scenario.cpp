// The scenarios. Each comes by all steps of its phases; where a context dies under it, it goes on with the next.
//
//   calls              open, listen, call, submit, poll, cancel, close with a request in flight; again, in short
//   gated              the same, of a module whose teardowns stand in line
//   poll               answers and events by berth_reap, asleep in it without a deadline
//   zygote             a context, a zygote for the next, the next
//   retire             a context, a pause in which its worker is let go, the next
//   worker_dies        the library ends its worker with requests in flight; the next context
//   host_dies          waits with a request in flight, to be killed
//   rejoin             the supervisor is killed and started again under a context that is in use
//   open_over_restart  the supervisor is killed and started again under an open
#include "scenario.h"

#include <atomic>
#include <functional>
#include <map>
#include <poll.h>
#include <unistd.h>

#include "cbor_text.h"
#include "leak_check.h"
#include "processes.h"
#include "requests.h"

namespace berth::test {
namespace {

constexpr uint32_t kOpenBoundMs = 60'000;
constexpr int kOpens = 4;      // tries of an open that may fail
constexpr int kEvents = 5;     // of each `emit`
constexpr int kForEver = 60000; // ms; longer than any case
constexpr std::chrono::seconds kPatience{60};

std::string echoed(int number) { return "number " + std::to_string(number); }

class Scenario {
  public:
    explicit Scenario(const ScenarioOptions &options) : options_(options), requests_(options.forgiven) {}
    int run();

  private:
    void say(const std::string &line) { (void)!::write(options_.report, (line + "\n").data(), line.size() + 1); }
    void wrong(const std::string &text) { say("wrong " + text); }
    void ready();
    bool connect();
    bool open();
    void listen();
    void talk();
    void give_one_up();
    void await_answers();
    void close(bool with_one_in_flight);
    void live(bool in_full);
    void poll();
    void reap_until(const std::function<bool()> &so);
    void await_zygote();
    void die_with_worker();
    void use_until_let_on();
    void act();
    // The scenarios.
    void calls();
    void poll_mode();
    void zygote();
    void retire();
    void worker_dies();
    void host_dies();
    void rejoin();
    void open_over_restart();

    const ScenarioOptions &options_;
    Requests requests_;
    berth_client client_{0};
    berth_context context_{0};
    std::atomic<int> events_{0}, silent_{0};
    int emitted_ = 0;
};

void Scenario::ready() {
    char order;
    say("ready");
    if (::read(options_.orders, &order, 1) != 1)
        wrong("nobody lets it on");
}

bool Scenario::connect() {
    berth_options options{sizeof options, BERTH_NO_PRIVATE, options_.socket.c_str(), nullptr, {}};
    int ret = BERTH_RET_OK;
    // Whose service has just died comes again.
    bool connected = eventually([&] { return (ret = berth_connect(&options, &client_)) != BERTH_RET_UNAVAILABLE; },
                                kPatience);
    if (!connected || ret != BERTH_RET_OK)
        wrong("it cannot connect: " + std::to_string(ret));
    return connected && ret == BERTH_RET_OK;
}

bool Scenario::open() {
    for (int i = 0; i < kOpens; i++) {
        berth_open_options options{};
        options.size = sizeof options;
        options.open_timeout_ms = kOpenBoundMs;
        berth_reply why;
        int ret = berth_open(client_, "echo", nullptr, 0, &options, &context_, &why);
        std::string text(reinterpret_cast<const char *>(why.data), why.len);
        berth_reply_free(&why);
        if (ret == BERTH_RET_OK)
            return true;
        if (!options_.forgiven_opens.contains(ret))
            wrong("an open ended with " + std::to_string(ret) + ": " + text);
    }
    wrong("no context after " + std::to_string(kOpens) + " opens");
    return false;
}

void Scenario::listen() {
    auto count = [](int, const uint8_t *, size_t, void *self) { static_cast<Scenario *>(self)->events_++; };
    auto silent = [](int, const uint8_t *data, size_t len, void *self) {
        auto *scenario = static_cast<Scenario *>(self);
        scenario->say("silent " + text_at({reinterpret_cast<const char *>(data), len}, "/cause"));
        scenario->silent_++;
    };
    auto responding = [](int, const uint8_t *, size_t, void *self) {
        static_cast<Scenario *>(self)->say("responding");
        static_cast<Scenario *>(self)->silent_--;
    };
    const std::pair<const char *, berth_callback> listeners[] = {
        {"tick", count}, {"not_responding", silent}, {"responding", responding}};
    for (auto [event, callback] : listeners)
        if (int ret = berth_listen(context_, event, callback, this, nullptr); ret != BERTH_RET_OK)
            wrong(std::string("listening to ") + event + " ended with " + std::to_string(ret));
}

void Scenario::talk() {
    sleep_ms(20); // both ends sleep, and have to be woken
    for (int i = 0; i < 3; i++)
        requests_.call(context_, "echo", echoed(i), echoed(i));
    for (int i = 3; i < 6; i++) {
        sleep_ms(i == 3 ? 20 : 0);
        requests_.submit(context_, "echo", echoed(i), echoed(i));
    }
    requests_.submit(context_, "later", later_request(20, "soon"), "soon");
    requests_.submit(context_, "echo", "polled", "polled", BERTH_RET_OK, false);
    if (requests_.submit(context_, "emit", cbor(R"({"count": 5, "bytes": 16})"), "*"))
        emitted_ += kEvents;
    await_answers();
}

void Scenario::give_one_up() {
    auto *request = requests_.submit(context_, "later", later_request(kForEver, "x"), "*", BERTH_RET_CANCELLED);
    if (!request)
        return;
    int ret = berth_cancel(context_, request->id);
    // It may have been answered, by the end of its worker.
    if (ret != BERTH_RET_OK && requests_.as_in_peace())
        wrong("a cancel ended with " + std::to_string(ret));
    await_answers();
}

void Scenario::await_answers() {
    auto answered = [&] {
        reap_into_records(context_, 0);
        return requests_.all_answered() && (!requests_.as_in_peace() || (events_ >= emitted_ && silent_ == 0));
    };
    if (!eventually(answered, kPatience))
        wrong("requests without an answer, or events that did not come, or silence without end");
}

void Scenario::close(bool with_one_in_flight) {
    if (with_one_in_flight)
        requests_.submit(context_, "later", later_request(kForEver, "x"), "*", BERTH_RET_RECYCLED);
    auto &closed = requests_.add("a close", "*");
    if (int ret = berth_close(context_, Record::callback, &closed.record); ret != BERTH_RET_OK)
        wrong("a close ended with " + std::to_string(ret));
    await_answers();
    if (events_ > emitted_)
        wrong("more events than were sent");
}

void Scenario::live(bool in_full) {
    if (!open())
        return;
    listen();
    if (in_full) {
        talk();
        give_one_up();
    } else {
        requests_.call(context_, "echo", "once more", "once more");
    }
    close(in_full);
}

// Or until there is nothing more to come.
void Scenario::reap_until(const std::function<bool()> &so) {
    berth_completion batch[16];
    while (!so()) {
        int count = berth_reap(context_, batch, 16, -1);
        if (count < 0)
            return;
        for (int i = 0; i < count; i++) {
            if (batch[i].kind == BERTH_EVENT)
                events_++;
            else
                static_cast<Record *>(batch[i].user_data)->note(batch[i].ret, batch[i].data, batch[i].len);
        }
    }
}

void Scenario::poll() {
    if (int ret = berth_listen(context_, "tick", nullptr, this, nullptr); ret != BERTH_RET_OK)
        wrong("listening ended with " + std::to_string(ret));
    for (int i = 0; i < 3; i++) {
        sleep_ms(20);
        requests_.submit(context_, "echo", echoed(i), echoed(i), BERTH_RET_OK, false);
        reap_until([&] { return requests_.all_answered(); });
    }
    if (requests_.submit(context_, "emit", cbor(R"({"count": 5, "bytes": 16})"), "*", BERTH_RET_OK, false))
        emitted_ += kEvents;
    reap_until([&] { return requests_.all_answered() && events_ >= emitted_; });
}

void Scenario::await_zygote() {
    auto there = [&] {
        berth_reply reply;
        berth_status(client_, &reply);
        std::string status(reinterpret_cast<const char *>(reply.data), reply.len);
        berth_reply_free(&reply);
        return text_at(status, "/zygotes/0/state") == "Ready";
    };
    // One that stands still is no zygote yet; somebody is to see to it.
    eventually(there, std::chrono::seconds(3));
}

void Scenario::die_with_worker() {
    requests_.submit(context_, "later", later_request(kForEver, "x"), "*", BERTH_RET_WORKER_DIED);
    requests_.submit(context_, "die", cbor(R"({"how": "exit"})"), "*", BERTH_RET_WORKER_DIED);
    await_answers();
    close(false);
}

void Scenario::use_until_let_on() {
    pollfd orders{options_.orders, POLLIN, 0};
    say("ready");
    for (int i = 0; ::poll(&orders, 1, 5) == 0; i++)
        requests_.call(context_, "echo", echoed(i), echoed(i));
    char order;
    if (::read(options_.orders, &order, 1) != 1)
        wrong("nobody lets it on");
}

void Scenario::calls() {
    live(true);
    live(false);
}

void Scenario::poll_mode() {
    if (!open())
        return;
    poll();
    close(false);
    live(false);
}

void Scenario::zygote() {
    if (!open())
        return;
    berth_context first = context_;
    await_zygote();
    live(true);
    context_ = first;
    requests_.call(context_, "echo", "the first", "the first");
    close(false);
}

void Scenario::retire() {
    live(false);
    sleep_ms(600);
    live(false);
}

void Scenario::worker_dies() {
    if (!open())
        return;
    listen();
    die_with_worker();
    live(false);
}

void Scenario::host_dies() {
    if (!open())
        return;
    requests_.submit(context_, "later", later_request(kForEver, "x"), "*");
    ready();
}

void Scenario::rejoin() {
    if (!open())
        return;
    listen();
    requests_.submit(context_, "later", later_request(300, "over it"), "over it");
    use_until_let_on();
    talk();
    close(true);
    live(false);
}

void Scenario::open_over_restart() {
    ready();
    live(false);
    live(false);
}

void Scenario::act() {
    static const std::map<std::string, void (Scenario::*)()> scenarios = {
        {"calls", &Scenario::calls},
        {"gated", &Scenario::calls},
        {"poll", &Scenario::poll_mode},
        {"zygote", &Scenario::zygote},
        {"retire", &Scenario::retire},
        {"worker_dies", &Scenario::worker_dies},
        {"host_dies", &Scenario::host_dies},
        {"rejoin", &Scenario::rejoin},
        {"open_over_restart", &Scenario::open_over_restart},
    };
    auto found = scenarios.find(options_.name);
    if (found == scenarios.end())
        wrong("no scenario " + options_.name);
    else
        (this->*found->second)();
}

int Scenario::run() {
    auto before = Holdings::now();
    if (!connect())
        return 1;
    act();
    if (int ret = berth_disconnect(client_); ret != BERTH_RET_OK)
        wrong("the disconnect ended with " + std::to_string(ret));
    for (const auto &mistake : requests_.mistakes())
        wrong(mistake);
    std::string left;
    if (!eventually([&] { return (left = leaked(before, Holdings::now())).empty(); }, std::chrono::seconds(5)))
        wrong("it has left: " + left);
    say("done");
    return 0;
}

} // namespace

int run_scenario(const ScenarioOptions &options) { return Scenario(options).run(); }

} // namespace berth::test
