#include "worker/crash_handler.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/crash_backtrace.h"
#include "worker/crash_registers.h"
#include "worker/doing.h"

namespace berth {
namespace {

constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
constexpr time_t kHandlerBoundS = 1;
constexpr size_t kStackSize = 64 * 1024;

berth_crash_area *area = nullptr;
pid_t owner = 0; // a child that the module forked has the mapping and the handler, and no business here
std::atomic<bool> claimed{false};
int fatal_signal = 0;
siginfo_t fatal_info;

// Dies of `signal`, as if it had not been handled.
void die(int signal, siginfo_t &info) {
    struct sigaction fallback {};
    fallback.sa_handler = SIG_DFL;
    ::sigaction(signal, &fallback, nullptr);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
    long pid = ::getpid(), thread = ::syscall(SYS_gettid);
    if (::syscall(SYS_rt_tgsigqueueinfo, pid, thread, signal, &info) != 0)
        ::syscall(SYS_tgkill, pid, thread, signal);
    ::syscall(SYS_exit_group, 128 + signal); // the first process of a pid namespace survives its own signals
}

void took_too_long(int) { die(fatal_signal, fatal_info); }

void bound_handler(int signal, const siginfo_t &info) {
    fatal_signal = signal;
    fatal_info = info;
    struct sigaction action {};
    action.sa_handler = took_too_long;
    sigfillset(&action.sa_mask);
    ::sigaction(SIGALRM, &action, nullptr);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGALRM);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    int timer = 0; // the kernel's id
    itimerspec bound{};
    bound.it_value.tv_sec = kHandlerBoundS;
    if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0)
        ::syscall(SYS_timer_settime, timer, 0, &bound, nullptr);
}

void reached(berth_crash_stage stage) { __atomic_store_n(&area->stage, stage, __ATOMIC_RELEASE); }

void put_fault(int signal, const siginfo_t &info, const ucontext_t &at) {
    area->signal = static_cast<uint32_t>(signal);
    area->code = info.si_code;
    area->thread = static_cast<uint32_t>(::syscall(SYS_gettid));
    bool has_address = info.si_code > 0 && signal != SIGABRT && signal != SIGSYS;
    area->address = has_address ? reinterpret_cast<uint64_t>(info.si_addr) : 0;
    ::prctl(PR_GET_NAME, area->thread_name);
    put_registers(*area, at);
}

void put_maps() {
    int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : 1;
    while (got > 0 && area->maps_size < BERTH_CRASH_MAX_MAPS) {
        got = ::read(fd, area->maps + area->maps_size, BERTH_CRASH_MAX_MAPS - area->maps_size);
        area->maps_size += static_cast<uint32_t>(std::max<ssize_t>(got, 0));
    }
    if (area->maps_size == BERTH_CRASH_MAX_MAPS)
        area->cut |= BERTH_CRASH_MAPS_CUT;
}

void write_down(int signal, siginfo_t &info, const ucontext_t &at) {
    bound_handler(signal, info);
    put_fault(signal, info, at);
    reached(BERTH_CRASH_FAULT);
    put_frames(*area, at);
    reached(BERTH_CRASH_FRAMES);
    put_maps();
    reached(BERTH_CRASH_MAPS);
    put_symbols(*area);
    reached(BERTH_CRASH_SYMBOLS);
}

// Of several threads that crash at once the first is told; it ends the others.
void wait_for_the_first() {
    for (;;) {
        timespec a_while{kHandlerBoundS, 0};
        ::nanosleep(&a_while, nullptr);
    }
}

void on_fatal(int signal, siginfo_t *info, void *context) {
    if (::getpid() == owner) {
        if (claimed.exchange(true))
            wait_for_the_first();
        write_down(signal, *info, *static_cast<const ucontext_t *>(context));
    }
    die(signal, *info);
}

bool map_area(int fd) {
    struct stat file;
    bool fits = ::fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size == sizeof(berth_crash_area);
    int seals = ::fcntl(fd, F_GET_SEALS);
    if (!fits || seals < 0 || !(seals & F_SEAL_SHRINK))
        return false;
    void *mapped = ::mmap(nullptr, sizeof(berth_crash_area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return false;
    area = static_cast<berth_crash_area *>(mapped);
    noted_doing = &area->running;
    return true;
}

// The kernel's frame on it grows with the machine's registers. Below it a page that none may touch.
void use_alternate_stack() {
    size_t size = kStackSize + ::getauxval(AT_MINSIGSTKSZ), guard = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    size = (size + guard - 1) / guard * guard;
    void *memory = ::mmap(nullptr, guard + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return;
    auto *bottom = static_cast<char *>(memory) + guard;
    ::mprotect(bottom, size, PROT_READ | PROT_WRITE);
    stack_t stack{};
    stack.ss_sp = bottom;
    stack.ss_size = size;
    ::sigaltstack(&stack, nullptr);
}

} // namespace

bool install_crash_handler(int fd) {
    bool mapped = map_area(fd);
    ::close(fd);
    if (!mapped)
        return false;
    owner = ::getpid();
    prepare_backtrace();
    use_alternate_stack();
    struct sigaction action {};
    action.sa_sigaction = on_fatal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (int signal : kFatal)
        ::sigaction(signal, &action, nullptr);
    return true;
}

bool move_crash_handler(int fd) {
    owner = 0;
    noted_doing = &nobody_reads;
    if (area)
        ::munmap(area, sizeof *area);
    area = nullptr;
    bool mapped = map_area(fd);
    ::close(fd);
    if (mapped)
        owner = ::getpid();
    return mapped;
}

void prepare_thread_for_crash() {
    use_alternate_stack();
    sigset_t fatal;
    sigemptyset(&fatal);
    for (int signal : kFatal)
        sigaddset(&fatal, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &fatal, nullptr);
}

} // namespace berth
