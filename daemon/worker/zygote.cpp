#include "worker/zygote.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kill_point.h"
#include "worker/crash_handler.h"

namespace berth {
namespace {

constexpr int kControlFd = 3;
constexpr int kFirstFreeFd = 4; // below it stands what a worker keeps of what it was born with
constexpr size_t kCrashArea = 3; // of a fork's descriptors

// What libc registered with the kernel for the main thread. A child forked without libc needs it again.
struct ThreadRegistration {
    int *tid = nullptr; // where libc keeps the thread's id: mutexes take it for their owner's
    void *robust_list = nullptr;
    size_t robust_list_size = 0;
};

[[noreturn]] void give_up(Channel &channel, const std::string &why) {
    (void)channel.send(Message(BERTH_MSG_NO_FORK).with_text(BERTH_KEY_TEXT, why));
    std::_Exit(EXIT_FAILURE);
}

size_t count_threads() {
    std::error_code error;
    size_t count = 0;
    for (auto task = std::filesystem::directory_iterator("/proc/self/task", error);
         !error && task != std::filesystem::directory_iterator(); task.increment(error))
        count++;
    return count;
}

bool find_registration(ThreadRegistration &out) {
    return ::prctl(PR_GET_TID_ADDRESS, &out.tid, 0, 0, 0) == 0 && out.tid &&
           ::syscall(SYS_get_robust_list, 0, &out.robust_list, &out.robust_list_size) == 0;
}

// As libc's fork does it, but that the child's parent is the supervisor, which so hears of its end as of any worker's.
pid_t fork_for_supervisor(const ThreadRegistration &thread) {
    std::fflush(nullptr); // what the library printed while it was loaded is not to be printed by each child
    return static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD,
                                        nullptr, nullptr, thread.tid, thread.tid)); // fourth or fifth, by machine
}

bool place(Message &fork) {
    constexpr std::array<int, 3> kPlaces{kControlFd, STDOUT_FILENO, STDERR_FILENO};
    std::array<UniqueFd, 3> given;
    for (size_t i = 0; i < given.size(); i++) {
        given[i] = fork.take_fd(i);
        if (given[i].get() < kFirstFreeFd) // a library has closed one of the places, and this came to stand there
            given[i].reset(::fcntl(given[i].get(), F_DUPFD_CLOEXEC, kFirstFreeFd));
    }
    for (size_t i = 0; i < given.size(); i++)
        if (!given[i] || ::dup3(given[i].get(), kPlaces[i], kPlaces[i] == kControlFd ? O_CLOEXEC : 0) < 0)
            return false;
    return true;
}

void become_worker(Message &fork, const ThreadRegistration &thread) {
    BERTH_KILL_POINT("worker.forked");
    ::syscall(SYS_set_robust_list, thread.robust_list, thread.robust_list_size);
    // Not at descriptor 4, where a spawned worker finds it: by now that may be one of the library's.
    move_crash_handler(fork.take_fd(kCrashArea).release());
    if (!place(fork))
        std::_Exit(EXIT_FAILURE); // its supervisor sees it end before it was ready
    ::setsid();
    ::prctl(PR_SET_NAME, "berth-worker");
}

// The next `fork`; the process ends when there will be none.
Message next_fork(Channel &channel) {
    auto received = channel.receive(0);
    if (!received || received->got != Channel::Got::Message || received->message->type() != BERTH_MSG_FORK)
        std::_Exit(received && received->got == Channel::Got::End ? EXIT_SUCCESS : EXIT_FAILURE);
    return std::move(*received->message);
}

} // namespace

void become_forked_worker(Channel &channel, const Message &ready) {
    ThreadRegistration thread;
    ::prctl(PR_SET_NAME, "berth-zygote");
    if (size_t threads = count_threads(); threads != 1)
        give_up(channel, "the process has " + std::to_string(threads) + " threads once its library is loaded, not one");
    if (!find_registration(thread))
        give_up(channel, std::string("what libc registered for its thread cannot be found: ") + std::strerror(errno));
    if (!channel.send(ready))
        std::_Exit(EXIT_FAILURE);
    BERTH_KILL_POINT("zygote.ready_sent");
    for (;;) {
        Message fork = next_fork(channel);
        BERTH_KILL_POINT("zygote.fork_received");
        pid_t pid = fork_for_supervisor(thread);
        if (pid == 0)
            return become_worker(fork, thread);
        BERTH_KILL_POINT("zygote.forked");
        if (pid < 0)
            give_up(channel, std::string("clone: ") + std::strerror(errno));
        auto told = channel.send(Message(BERTH_MSG_FORKED)
                                     .with(BERTH_KEY_SEQ, fork.number(BERTH_KEY_SEQ))
                                     .with(BERTH_KEY_PID, static_cast<uint64_t>(pid)));
        if (!told)
            std::_Exit(EXIT_FAILURE);
        BERTH_KILL_POINT("zygote.forked_sent");
    }
}

} // namespace berth
