/* The host must not notice: no SIGCHLD, no child to wait for, no handler run in a half-made process.
 *
 * clone() with exit signal 0 makes an intermediate that shares the host's memory (as vfork does) with all signals
 * blocked; it clones the daemon the same way and ends, so the daemon is adopted by init. The host collects the
 * intermediate by its pid. Both run on a stack of their own and only make system calls; a failed exec writes its errno
 * straight into our frame. The daemon resets the signal mask and dispositions it inherits.
 *
 * Where orphans come back to the host itself (it is the first process of its namespace, or a subreaper), they would end
 * with a SIGCHLD and as its zombies. There the intermediate stays, as the parent of the daemon and of what that leaves
 * behind: it has no exit signal as long as it runs no other program, and only we ask for it (stand_in.c). */
#include "connection/private_supervisor.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/raw_io.h"
#include "connection/daemon_environment.h"
#include "connection/schedule.h"
#include "connection/stand_in.h"

#define STACK_SIZE ((size_t)64 << 10)
#define ROOM_SIZE (2 * STACK_SIZE)
#define FAILED_MS 1000u

struct launch {
    const char *path;
    char *const *argv;
    char *const *environment;
    int socket;
    int null;
    int keeps_stderr; /* BERTH_LOG says where it is to go */
    char *inner_stack;
    int *launched; /* where the intermediate stays, else NULL */
    struct schedule schedule;
    int exec_errno;
};

extern char **environ;

/* glibc's clone() by its other name: ThreadSanitizer takes the first for a fork and loses track of the host's locks. */
extern int __clone(int (*body)(void *), void *stack, int flags, void *argument, ...);

__attribute__((no_sanitize("address", "thread", "undefined"))) static int run_daemon(void *argument) {
    struct launch *launch = argument;
    schedule_take(&launch->schedule);
    syscall(SYS_setsid);
    if (syscall(SYS_dup3, launch->null, 0, 0) < 0 || syscall(SYS_dup3, launch->null, 1, 0) < 0)
        goto failed;
    if (!launch->keeps_stderr && syscall(SYS_dup3, launch->null, 2, 0) < 0)
        goto failed;
    if (syscall(SYS_dup3, launch->socket, 3, 0) < 0)
        goto failed;
    syscall(SYS_close_range, 4, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */); /* where it is refused the daemon closes them */
    syscall(SYS_execve, launch->path, launch->argv, launch->environment);
failed:
    launch->exec_errno = errno;
    syscall(SYS_exit_group, 127);
    return 127;
}

__attribute__((no_sanitize("address", "thread", "undefined"))) static int run_intermediate(void *argument) {
    struct launch *launch = argument;
    if (launch->launched)
        stand_in_prepare();
    if (__clone(run_daemon, launch->inner_stack, CLONE_VM | CLONE_VFORK, launch) < 0)
        launch->exec_errno = errno;
    if (launch->launched)
        stand_in_stay(launch->launched);
    syscall(SYS_exit_group, 0);
    return 0;
}

/* The first process of a namespace, or a subreaper. */
static int gets_orphans(void) {
    int subreaper = 0;
    raw_syscall(SYS_prctl, PR_GET_CHILD_SUBREAPER, (long)&subreaper, 0, 0, 0);
    return subreaper || getpid() == 1;
}

/* The room's last bytes, above the stacks: the kernel writes there when the stand-in ends. */
static int launch_to_stay(struct launch *launch, char *room) {
    int *launched = (int *)(void *)(room + ROOM_SIZE - 64);
    *launched = 1;
    launch->launched = launched;
    int pid = __clone(run_intermediate, room + ROOM_SIZE - 128, CLONE_VM | CLONE_CHILD_CLEARTID, launch, NULL, NULL,
                      launched);
    while (pid > 0 && __atomic_load_n(launched, __ATOMIC_ACQUIRE))
        berth_futex_wait((uint32_t *)launched, 1, 0);
    return pid < 0 ? -errno : pid;
}

static int launch_to_end(struct launch *launch, char *room) {
    int status, pid = __clone(run_intermediate, room + ROOM_SIZE, CLONE_VM | CLONE_VFORK, launch);
    if (pid < 0)
        return -errno;
    while (waitpid(pid, &status, __WCLONE) < 0 && errno == EINTR) {
    }
    return 0;
}

/* 0 or -errno. The room is kept for a stand-in. */
static int launch_detached(struct launch *launch, struct private_supervisor *out) {
    char *room = mmap(NULL, ROOM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (room == MAP_FAILED)
        return -errno;
    sigset_t all, before;
    int cancel_state, stays = stand_in_is_possible() && gets_orphans();
    launch->inner_stack = room + STACK_SIZE;
    schedule_of_process(&launch->schedule);
    sigfillset(&all);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = stays ? launch_to_stay(launch, room) : launch_to_end(launch, room);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcancelstate(cancel_state, NULL);
    if (rc > 0)
        *out = (struct private_supervisor){.stand_in = rc, .room = room};
    else
        munmap(room, ROOM_SIZE);
    return rc < 0 ? rc : -launch->exec_errno;
}

/* 1: it has been collected, or there is none any more. */
static int collect(pid_t pid, int flags) {
    long rc;
    siginfo_t end = {0};
    do
        rc = raw_syscall(SYS_waitid, P_PID, pid, (long)&end, WEXITED | __WALL | flags, 0);
    while (rc == -EINTR);
    return rc < 0 || end.si_pid == pid;
}

void private_supervisor_reap(struct private_supervisor *supervisor, uint32_t bound_ms) {
    uint64_t bound = berth_now_ns() + (uint64_t)bound_ms * 1000000u;
    if (!supervisor->stand_in)
        return;
    int over;
    while (!(over = collect(supervisor->stand_in, WNOHANG)) && berth_now_ns() < bound)
        raw_pause(1);
    if (!over) { /* it waits for what a library has left behind: that is the host's from here on */
        raw_syscall(SYS_kill, supervisor->stand_in, SIGKILL, 0, 0, 0);
        collect(supervisor->stand_in, 0);
    }
    munmap(supervisor->room, ROOM_SIZE);
    supervisor->stand_in = 0;
}

static const char *daemon_path(void) {
    const char *path = secure_getenv("BERTH_DAEMON");
    return path && *path ? path : BERTH_DAEMON_PATH;
}

/* Descriptors 0-3 are the daemon's own: keep ours above them, so that no dup3 lands on its source. */
static int moved_up(int fd) {
    if (fd < 0 || fd > 3)
        return fd;
    int up = (int)raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 10, 0, 0);
    raw_close(fd);
    return up;
}

static int start(const char *module_dir, int theirs, struct private_supervisor *out, char *why, size_t why_size) {
    const char *path = daemon_path();
    char *argv[] = {(char *)"berthd", (char *)"--private", (char *)"3", NULL, NULL, NULL};
    if (module_dir) {
        argv[3] = (char *)"--modules";
        argv[4] = (char *)module_dir;
    }
    struct launch launch = {.path = path, .argv = argv, .socket = theirs, .null = -1};
    struct environment_room room;
    launch.environment = daemon_environment(&room, environ, getauxval(AT_SECURE) != 0);
    launch.keeps_stderr = secure_getenv("BERTH_LOG") != NULL;
    launch.null = moved_up((int)raw_syscall(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0, 0));
    int rc = launch.null < 0 ? launch.null : launch_detached(&launch, out);
    raw_close(launch.null);
    if (rc < 0)
        private_supervisor_reap(out, FAILED_MS);
    if (rc < 0)
        snprintf(why, why_size, "cannot start %s: %s", path, strerrordesc_np(-rc));
    return rc;
}

int private_supervisor_start(const char *module_dir, struct private_supervisor *out, char *why, size_t why_size) {
    int pair[2];
    int saved = errno;
    *out = (struct private_supervisor){0};
    long rc = raw_syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, (long)pair, 0);
    if (rc == 0) {
        pair[0] = raw_above_stdio(pair[0]);
        pair[1] = moved_up(pair[1]);
        rc = pair[0] < 0 ? pair[0] : pair[1] < 0 ? pair[1] : start(module_dir, pair[1], out, why, why_size);
        raw_close(pair[1]);
        if (rc < 0)
            raw_close(pair[0]);
    }
    errno = saved;
    return rc < 0 ? (int)rc : pair[0];
}
