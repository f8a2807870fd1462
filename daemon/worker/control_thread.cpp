#include "worker/control_thread.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <utility>

#include "futex.h"
#include "kill_point.h"

namespace berth {
namespace {

constexpr uint32_t kWedgedMs = 250;
constexpr uint32_t kQuickMs = 5;
constexpr uint32_t kOrphanMs = 4000; // five seconds are promised
constexpr size_t kWithSocket = 3; // descriptors of a lease: segment, wake socket, pidfd
constexpr char kRecalled[] = "the supervisor recalled the context";

uint64_t after_ms(uint32_t ms) { return berth_now_ns() + uint64_t{ms} * 1'000'000; }

// Nobody reads what we log until the next supervisor does, and a library may have SIGPIPE back at its default.
void log_to(UniqueFd fd) {
    if (!fd)
        return;
    ::dup2(fd.get(), STDOUT_FILENO);
    ::dup2(fd.get(), STDERR_FILENO);
}

void clear(int eventfd) {
    uint64_t count;
    while (::read(eventfd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

} // namespace

ControlThread::ControlThread(Channel channel, LibraryThread &library, Answers &answers, int teardown_eventfd,
                             WorkerIdentity identity)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), channel_(std::move(channel)), library_(library), answers_(answers),
      teardown_eventfd_(teardown_eventfd), again_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), identity_(std::move(identity)), rejoin_(identity_.service, channel_.fd()) {
    watch(teardown_eventfd_, kTeardown);
    watch(again_.get(), kAgain);
}

// 0, or -1. A descriptor is taken out before it is closed: its file may be open in another process too, and would stay.
int ControlThread::watch(int fd, Source source) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = leases_ * kSources + source;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void ControlThread::unwatch(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void ControlThread::await_lease() {
    for (;;) {
        pollfd supervisor{channel_.fd(), POLLIN, 0};
        if (::poll(&supervisor, 1, -1) <= 0)
            continue;
        std::lock_guard lock(lock_);
        take_message();
        if (lease_)
            return;
    }
}

void ControlThread::run() {
    for (;;) {
        int timeout_ms;
        {
            std::lock_guard lock(lock_);
            timeout_ms = next_timeout_ms();
        }
        epoll_event events[kSources];
        int count = ::epoll_wait(epoll_.get(), events, kSources, timeout_ms);
        std::lock_guard lock(lock_);
        for (int i = 0; i < count; i++)
            woken_by(events[i].data.u64);
        if (lease_)
            tick();
    }
}

void ControlThread::woken_by(uint64_t tag) {
    auto source = static_cast<Source>(tag % kSources);
    if (source == kTeardown) {
        clear(teardown_eventfd_);
        if (lease_)
            tell_of_teardown();
    } else if (source == kAgain) {
        clear(again_.get());
        read_urgent();
    } else if (!lease_ || tag / kSources != leases_) {
        return;
    } else if (source == kDoorbell) {
        if (!lease_->wakeups.clear_doorbell())
            unwatch(lease_->wakeups.doorbell()); // the host's pidfd tells of its end
        read_urgent();
    } else if (source == kHost) {
        begin_close(true);
    } else {
        while (take_message()) {
        }
    }
}

int ControlThread::next_timeout_ms() const {
    uint64_t due = UINT64_MAX;
    for (uint64_t bound : {phase_bound_ns_, slow_ns_, orphan_bound_ns_, rejoin_.due_ns().value_or(0)})
        if (bound)
            due = std::min(due, bound);
    if (due == UINT64_MAX)
        return -1;
    uint64_t now = berth_now_ns();
    return now >= due ? 0 : static_cast<int>((due - now) / 1'000'000 + 1);
}

void ControlThread::tell(const Message &message) {
    if (supervisor_alive_ && !channel_.send(message))
        supervisor_gone();
}

void ControlThread::supervisor_gone() {
    supervisor_alive_ = false;
    unwatch(channel_.fd());
    BERTH_KILL_POINT("worker.supervisor_gone");
    library_.allow_teardown(); // nobody is left to ask
    // A context goes on without its supervisor; a worker without a context has nothing to live for.
    if (!lease_)
        std::_Exit(0);
    adopted_ = false;
    log_to(UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)));
    rejoin_.supervisor_lost(berth_now_ns());
    watch_orphan();
}

// Host and supervisor both gone: what the library still does matters to nobody, and nobody else would end it.
void ControlThread::watch_orphan() {
    if (host_gone_ && !adopted_ && !orphan_bound_ns_)
        orphan_bound_ns_ = after_ms(kOrphanMs);
    if (host_gone_ && !adopted_)
        rejoin_.give_up();
}

void ControlThread::rejoin() {
    auto due = rejoin_.due_ns();
    if (!due || !lease_ || berth_now_ns() < *due)
        return;
    UniqueFd socket = rejoin_.try_connect(berth_now_ns());
    if (!socket)
        return;
    UniqueFd host(::fcntl(lease_->host_pidfd.get(), F_DUPFD_CLOEXEC, 3));
    if (!host)
        return rejoin_.supervisor_lost(berth_now_ns());
    channel_ = Channel(std::move(socket));
    supervisor_alive_ = true;
    watch(channel_.fd(), kSupervisor);
    BERTH_KILL_POINT("worker.connected_again");
    Message message(BERTH_MSG_REJOIN_WORKER);
    message.with(BERTH_KEY_CONTEXT, lease_->context)
        .with_bytes(BERTH_KEY_TOKEN, lease_->token)
        .with(BERTH_KEY_GENERATION, lease_->generation)
        .with(BERTH_KEY_PID, static_cast<uint64_t>(::getpid()))
        .with_text(BERTH_KEY_MODULE, identity_.module)
        .with_text(BERTH_KEY_MODULE_VERSION, identity_.version)
        .with_bytes(BERTH_KEY_METHODS, identity_.method_ids)
        .with(BERTH_KEY_DRAIN_MS, lease_->drain_ms)
        .with(BERTH_KEY_TEARDOWN_MS, lease_->teardown_ms)
        .with(BERTH_KEY_PHASE, phase_bound_ns_ ? 1 : 0)
        .with_fd(std::move(host));
    tell(message);
    BERTH_KILL_POINT("worker.rejoin_sent");
}

void ControlThread::adopted(Message &message) {
    adopted_ = true;
    orphan_bound_ns_ = 0;
    rejoin_.adopted();
    lease_->context = message.number(BERTH_KEY_CONTEXT);
    log_to(message.take_fd(0));
    BERTH_KILL_POINT("worker.adopted");
}

// False: none is there.
bool ControlThread::take_message() {
    auto received = channel_.receive(MSG_DONTWAIT);
    if (!received || received->got == Channel::Got::End) {
        supervisor_gone();
        return false;
    }
    if (received->got == Channel::Got::Nothing)
        return false;
    Message &message = *received->message;
    bool ours = lease_ && message.number(BERTH_KEY_CONTEXT) == lease_->context;
    if (message.type() == BERTH_MSG_LEASE)
        take_lease(message);
    else if (message.type() == BERTH_MSG_RECYCLE && ours)
        begin_close(true, message.has(BERTH_KEY_WHY) ? std::string(message.text(BERTH_KEY_WHY)) : kRecalled);
    else if (message.type() == BERTH_MSG_RECYCLE_NOW && ours)
        library_.allow_teardown();
    else if (message.type() == BERTH_MSG_COUNT)
        count(message.number(BERTH_KEY_CONTEXT));
    else if (message.type() == BERTH_MSG_ADOPTED && lease_ && !adopted_)
        adopted(message);
    else if (message.type() == BERTH_MSG_RETIRE && !lease_) {
        BERTH_KILL_POINT("worker.retire_received");
        std::_Exit(0);
    }
    return true;
}

// The host's own word for how much it sent: believed no further than a status goes.
void ControlThread::count(uint64_t context) {
    uint64_t in_flight = 0;
    if (lease_ && lease_->context == context) {
        uint64_t sent = __atomic_load_n(&lease_->segment.header()->requests_submitted, __ATOMIC_RELAXED);
        uint64_t answered = answers_.answered();
        in_flight = sent > answered ? std::min<uint64_t>(sent - answered, lease_->segment.max_in_flight()) : 0;
    }
    tell(Message(BERTH_MSG_COUNTED).with(BERTH_KEY_CONTEXT, context).with(BERTH_KEY_IN_FLIGHT, in_flight));
}

void ControlThread::refuse_lease(uint64_t context, const std::string &why) {
    tell(Message(BERTH_MSG_HOST_BROKE).with(BERTH_KEY_CONTEXT, context).with_text(BERTH_KEY_TEXT, why));
    std::_Exit(kExitWedged);
}

void ControlThread::take_lease(Message &message) {
    BERTH_KILL_POINT("worker.lease_received");
    uint64_t context = message.number(BERTH_KEY_CONTEXT);
    if (lease_)
        return refuse_lease(context, "a lease while another holds");
    auto segment = Segment::attach(message.take_fd(0));
    if (!segment)
        return refuse_lease(context, segment.error().text);
    BERTH_KILL_POINT("worker.segment_mapped");
    auto wakeups = take_wakeups(message, *segment);
    if (!wakeups)
        return refuse_lease(context, wakeups.error().text);
    auto bound = [&](berth_control_key key) { return message.has(key) ? message.number(key) : UINT32_MAX; };
    if (!segment->claim(static_cast<uint32_t>(message.number(BERTH_KEY_ATTEMPT))))
        std::_Exit(0); // its host has given this open up, and asks another supervisor for a worker
    BERTH_KILL_POINT("worker.lease_claimed");
    lease_.emplace(Lease{context, message.number(BERTH_KEY_GENERATION), std::string(message.text(BERTH_KEY_TOKEN)),
                         static_cast<uint32_t>(message.number(BERTH_KEY_DRAIN_MS)),
                         static_cast<uint32_t>(message.number(BERTH_KEY_TEARDOWN_MS)),
                         supervisor_alive_ && message.number(BERTH_KEY_GATED) != 0,
                         static_cast<uint32_t>(bound(BERTH_KEY_MAX_EVENTS)), bound(BERTH_KEY_MAX_EVENT_BYTES),
                         message.number(BERTH_KEY_STICKY) != 0, std::move(*segment), std::move(*wakeups),
                         message.take_fd(*message.needed_fds() - 1)});
    leases_++;
    phase_bound_ns_ = 0;
    host_gone_ = false;
    const Segment &mapped = lease_->segment;
    answers_.attach(*lease_);
    berth_ring_attach_consumer(&urgent_, mapped.control(BERTH_RING_URGENT), mapped.bytes(BERTH_RING_URGENT),
                               mapped.capacity(BERTH_RING_URGENT));
    library_.start(*lease_);
    if (watch(channel_.fd(), kSupervisor) != 0 || watch(lease_->wakeups.doorbell(), kDoorbell) != 0 ||
        watch(lease_->host_pidfd.get(), kHost) != 0)
        return refuse_lease(context, "no room to watch its descriptors");
    if (!berth_ring_prepare_wait(&urgent_, BERTH_ASLEEP_FD))
        look_again();
}

// Which it is, is said by how many descriptors came.
Result<Wakeups> ControlThread::take_wakeups(Message &message, const Segment &segment) {
    bool by_socket = message.needed_fds() == kWithSocket;
    if (by_socket == (segment.major() == BERTH_SEGMENT_MAJOR_1))
        return Error{14, "its descriptors are not those of a segment of version " + std::to_string(segment.major())};
    if (by_socket)
        return Wakeups::by_socket(message.take_fd(1));
    return Wakeups::by_eventfds(message.take_fd(1), message.take_fd(2));
}

void ControlThread::look_again() {
    uint64_t one = 1;
    (void)!::write(again_.get(), &one, sizeof one); // full: readable anyway
}

// Takes what is there and goes back to sleep on the doorbell. Bounded: a host that never stops sending gets the rest
// taken with the next turn of the loop, after everybody else.
void ControlThread::read_urgent() {
    for (int turn = 0; lease_ && turn < 64; turn++) {
        for (int i = 0; i < 1024 && take_urgent(); i++) {
        }
        if (!lease_ || berth_ring_prepare_wait(&urgent_, BERTH_ASLEEP_FD))
            return;
    }
    if (lease_)
        look_again();
}

bool ControlThread::take_urgent() {
    berth_frame_header header;
    const uint8_t *payload;
    int rc = berth_ring_peek(&urgent_, &header, &payload);
    if (rc == 0)
        return false;
    if (rc > 0 && header.kind == BERTH_FRAME_CANCEL) {
        BERTH_KILL_POINT("worker.cancel_received");
        library_.cancel(header.id);
        BERTH_KILL_POINT("worker.cancelled");
    } else if (rc > 0 && header.kind == BERTH_FRAME_CREDIT && lease_->segment.major() >= 2)
        answers_.credit(header.id, header.code);
    else if (rc > 0 && header.kind == BERTH_FRAME_CLOSE)
        begin_close(false);
    else
        refuse_lease(lease_->context, "a frame or an index in the urgent ring cannot be");
    berth_ring_advance(&urgent_);
    return true;
}

void ControlThread::begin_close(bool host_gone, const std::string &why) {
    if (!lease_)
        return;
    if (host_gone) {
        BERTH_KILL_POINT("worker.recycle_begun");
        unwatch(lease_->host_pidfd.get());
        host_gone_ = true;
        answers_.give_up();
        watch_orphan();
    }
    if (phase_bound_ns_)
        return;
    BERTH_KILL_POINT("worker.close_received");
    phase_bound_ns_ = after_ms(lease_->drain_ms);
    slow_ns_ = after_ms(kQuickMs);
    library_.explain_close(why);
    library_.advance_to(LeasePhase::Draining);
    if (host_gone)
        library_.cancel_outstanding(); // nobody waits for these answers
}

// Draining → (drain_ms) → Cutting → (drain_ms) → Cut → Teardown → (teardown_ms) → the process ends itself. A library
// thread that is still in a handler when all is cut will not come back.
void ControlThread::tick() {
    rejoin();
    if (orphan_bound_ns_ && berth_now_ns() >= orphan_bound_ns_)
        std::_Exit(kExitWedged);
    if (slow_ns_ && berth_now_ns() >= slow_ns_) {
        slow_ns_ = 0;
        library_.announce_teardown();
        tell_of_teardown();
    }
    if (!phase_bound_ns_ || berth_now_ns() < phase_bound_ns_)
        return;
    LeasePhase phase = library_.phase();
    if (phase == LeasePhase::Draining) {
        answers_.begin_cutting();
        library_.advance_to(LeasePhase::Cutting);
        library_.cancel_outstanding();
        BERTH_KILL_POINT("worker.cutting");
        phase_bound_ns_ = after_ms(lease_->drain_ms);
    } else if (phase == LeasePhase::Cutting) {
        library_.advance_to(LeasePhase::Cut);
        phase_bound_ns_ = after_ms(kWedgedMs);
    } else if (phase == LeasePhase::Teardown && !in_teardown_) {
        in_teardown_ = true;
        phase_bound_ns_ = after_ms(lease_->teardown_ms);
    } else if (phase != LeasePhase::Over) {
        std::fprintf(stderr, "the library did not end within its bounds; the worker ends itself\n");
        std::_Exit(kExitWedged);
    }
}

void ControlThread::tell_of_teardown() {
    if (library_.phase() == LeasePhase::Teardown && !std::exchange(teardown_told_, true)) {
        tell(Message(BERTH_MSG_TEARDOWN).with(BERTH_KEY_CONTEXT, lease_->context));
        BERTH_KILL_POINT("worker.teardown_sent");
    }
}

void ControlThread::end_lease() {
    std::lock_guard lock(lock_);
    LeaseEnd end = library_.end();
    uint64_t context = lease_->context;
    for (int fd : {channel_.fd(), lease_->wakeups.doorbell(), lease_->host_pidfd.get()})
        unwatch(fd);
    // Unmapped once the supervisor knows: it may have the next lease waiting.
    std::optional<Lease> ended = std::exchange(lease_, std::nullopt);
    BERTH_KILL_POINT("worker.lease_dropped");
    in_teardown_ = teardown_told_ = false;
    phase_bound_ns_ = slow_ns_ = 0;
    if (!end.host_broke.empty())
        return refuse_lease(context, end.host_broke);
    if (!supervisor_alive_ || !adopted_)
        std::_Exit(0);
    library_.next_lease();
    tell(Message(BERTH_MSG_RECYCLED)
             .with(BERTH_KEY_CONTEXT, context)
             .with(BERTH_KEY_OUTCOME, end.outcome)
             .with(BERTH_KEY_CUT_OFF, end.cut_off));
    BERTH_KILL_POINT("worker.recycled_sent");
}

} // namespace berth
