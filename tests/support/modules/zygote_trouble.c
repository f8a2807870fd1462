/* Makes a module one that a zygote is in trouble with, by the environment variable ZYGOTE_TROUBLE: "thread" starts a
 * thread when it is loaded; the others speak in the zygote's place on its control socket, and lie about whom it forked. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONTROL_FD 3

static void *sleeper(void *unused) {
    for (;;)
        pause();
    return unused;
}

static int in_zygote(void) {
    char line[4096] = {0};
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, line, sizeof line - 1);
    close(fd);
    size_t program = strlen(line) + 1;
    return size > 0 && program < (size_t)size && strcmp(line + program, "--zygote") == 0;
}

static void send_forked(uint8_t seq, pid_t pid) {
    uint8_t packet[] = {0xa3, 0, 0x18, 30, 1, seq, 13, 0x1a, 0, 0, 0, 0}; /* {0: forked, 1: seq, 13: pid} */
    for (int i = 0; i < 4; i++)
        packet[8 + i] = (uint8_t)((uint32_t)pid >> (24 - 8 * i));
    send(CONTROL_FD, packet, sizeof packet, MSG_NOSIGNAL);
}

/* A process that waits for its end. It gives up nothing of what it was born with. */
static pid_t idle_process(unsigned long flags) {
    pid_t zygote = getpid();
    pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, flags ? 0 : SIGKILL);
        if (!flags && getppid() != zygote)
            _exit(0); /* it was killed before we came to run */
        for (;;)
            pause();
    }
    return pid;
}

static void lie(const char *how) {
    static const uint8_t ready[] = {0xa5, 0, 10, 13, 1, 14, 0x40, 20, 0x60, 21, 0x60};
    char packet[256];
    prctl(PR_SET_NAME, "berth-zygote");
    send(CONTROL_FD, ready, sizeof ready, MSG_NOSIGNAL);
    if (recv(CONTROL_FD, packet, sizeof packet, 0) <= 0)
        _exit(0);
    if (strcmp(how, "itself") == 0)
        send_forked(1, getpid());
    else if (strcmp(how, "supervisor") == 0)
        send_forked(1, getppid());
    else if (strcmp(how, "own child") == 0)
        send_forked(1, idle_process(0));
    else if (strcmp(how, "sequence") == 0)
        send_forked(7, idle_process(CLONE_PARENT));
    else if (strcmp(how, "untold") == 0)
        idle_process(CLONE_PARENT), _exit(0);
    else if (strcmp(how, "ready again") == 0)
        send(CONTROL_FD, ready, sizeof ready, MSG_NOSIGNAL);
    else if (strcmp(how, "bytes") == 0)
        send(CONTROL_FD, how, strlen(how), MSG_NOSIGNAL);
    for (;;)
        pause(); /* it is killed */
}

__attribute__((constructor)) static void make_trouble(void) {
    const char *how = getenv("ZYGOTE_TROUBLE");
    pthread_t thread;
    if (how && strcmp(how, "thread") == 0)
        pthread_create(&thread, NULL, sleeper, NULL);
    else if (how && in_zygote())
        lie(how);
}
