/* libc's clocks, as many seconds off as FALSE_CLOCK says; what takes a time that they gave is told the true one. As
 * libfaketime does it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static time_t offset(void) {
    const char *seconds = getenv("FALSE_CLOCK");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (rc == 0 && clock != CLOCK_THREAD_CPUTIME_ID && clock != CLOCK_PROCESS_CPUTIME_ID)
        out->tv_sec += offset();
    return rc;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
    int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec in_truth = {until->tv_sec - offset(), until->tv_nsec};
    *(void **)(void *)&real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return real(cond, mutex, &in_truth);
}
