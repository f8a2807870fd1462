/* The host must not notice: no SIGCHLD, no child to wait for, no handler run in a half-made process.
 *
 * clone() with exit signal 0 makes an intermediate that shares the host's memory (as vfork does) with all signals
 * blocked; it clones the daemon the same way and ends, so the daemon is adopted by init. The host collects the
 * intermediate by its pid. Both run on a stack of their own and only make system calls; a failed exec writes its errno
 * straight into our frame. The daemon resets the signal mask and dispositions it inherits. */
#include "private_supervisor.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "raw_io.h"

#define STACK_SIZE ((size_t)64 << 10)

struct launch {
    const char *path;
    char *const *argv;
    char *const *environment;
    int socket;
    int null;
    char *inner_stack;
    int exec_errno;
};

extern char **environ;

/* glibc's clone() by its other name: ThreadSanitizer takes the first for a fork and loses track of the host's locks. */
extern int __clone(int (*body)(void *), void *stack, int flags, void *argument, ...);

__attribute__((no_sanitize("address", "thread", "undefined"))) static int run_daemon(void *argument) {
    struct launch *launch = argument;
    syscall(SYS_setsid);
    if (syscall(SYS_dup3, launch->null, 0, 0) < 0 || syscall(SYS_dup3, launch->null, 1, 0) < 0)
        goto failed;
    if (!getenv("BERTH_LOG") && syscall(SYS_dup3, launch->null, 2, 0) < 0)
        goto failed;
    if (syscall(SYS_dup3, launch->socket, 3, 0) < 0)
        goto failed;
    syscall(SYS_close_range, 4, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
    syscall(SYS_execve, launch->path, launch->argv, launch->environment);
failed:
    launch->exec_errno = errno;
    syscall(SYS_exit_group, 127);
    return 127;
}

__attribute__((no_sanitize("address", "thread", "undefined"))) static int run_intermediate(void *argument) {
    struct launch *launch = argument;
    if (__clone(run_daemon, launch->inner_stack, CLONE_VM | CLONE_VFORK, launch) < 0)
        launch->exec_errno = errno;
    syscall(SYS_exit_group, 0);
    return 0;
}

static int launch_detached(struct launch *launch) {
    char *stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED)
        return -errno;
    sigset_t all, before;
    int status, cancel_state;
    launch->inner_stack = stacks + STACK_SIZE;
    sigfillset(&all);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int pid = __clone(run_intermediate, stacks + 2 * STACK_SIZE, CLONE_VM | CLONE_VFORK, launch);
    int rc = pid < 0 ? -errno : 0;
    if (pid > 0)
        while (waitpid(pid, &status, __WCLONE) < 0 && errno == EINTR) {
        }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcancelstate(cancel_state, NULL);
    munmap(stacks, 2 * STACK_SIZE);
    return rc ? rc : -launch->exec_errno;
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

static int start(const char *module_dir, int theirs, char *why, size_t why_size) {
    const char *path = daemon_path();
    char *argv[] = {(char *)"berthd", (char *)"--private", (char *)"3", NULL, NULL, NULL};
    if (module_dir) {
        argv[3] = (char *)"--modules";
        argv[4] = (char *)module_dir;
    }
    struct launch launch = {path, argv, environ, theirs, -1, NULL, 0};
    launch.null = moved_up((int)raw_syscall(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0, 0));
    int rc = launch.null < 0 ? launch.null : launch_detached(&launch);
    raw_close(launch.null);
    if (rc < 0)
        snprintf(why, why_size, "cannot start %s: %s", path, strerrordesc_np(-rc));
    return rc;
}

int private_supervisor_start(const char *module_dir, char *why, size_t why_size) {
    int pair[2];
    int saved = errno;
    long rc = raw_syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, (long)pair, 0);
    if (rc == 0) {
        pair[1] = moved_up(pair[1]);
        rc = pair[1] < 0 ? pair[1] : start(module_dir, pair[1], why, why_size);
        raw_close(pair[1]);
        if (rc < 0)
            raw_close(pair[0]);
    }
    errno = saved;
    return rc < 0 ? (int)rc : pair[0];
}
