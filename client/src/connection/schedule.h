/* Where and how a process runs: CPUs, policy, niceness. A thread that connects may be pinned, or of real time; what it
 * starts is for the whole process, whose first thread nobody has had reason to treat so. */
#ifndef BERTH_SCHEDULE_H
#define BERTH_SCHEDULE_H

#include <sched.h>
#include <sys/resource.h>

#include "base/raw_io.h"

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif

struct schedule {
    long cpus_size; /* of the kernel's mask; < 0: not known */
    unsigned long cpus[1024 / sizeof(unsigned long)];
    long policy, nice;
    struct sched_param param;
};

/* Of the process's first thread. */
static inline void schedule_of_process(struct schedule *schedule) {
    long pid = getpid();
    schedule->cpus_size = raw_syscall(SYS_sched_getaffinity, pid, sizeof schedule->cpus, (long)schedule->cpus, 0, 0);
    schedule->policy = raw_syscall(SYS_sched_getscheduler, pid, 0, 0, 0, 0);
    schedule->nice = 20 - raw_syscall(SYS_getpriority, PRIO_PROCESS, pid, 0, 0, 0);
    raw_syscall(SYS_sched_getparam, pid, (long)&schedule->param, 0, 0, 0);
}

/* By the caller, which may be a child that has not yet run its program. What is not allowed stays as it is. */
__attribute__((no_sanitize("address", "thread", "undefined"))) static inline void
schedule_take(const struct schedule *schedule) {
    if (schedule->policy >= 0)
        syscall(SYS_sched_setscheduler, 0, schedule->policy & ~SCHED_RESET_ON_FORK, &schedule->param);
    syscall(SYS_setpriority, PRIO_PROCESS, 0, schedule->nice);
    if (schedule->cpus_size > 0)
        syscall(SYS_sched_setaffinity, 0, schedule->cpus_size, schedule->cpus);
}

#endif
