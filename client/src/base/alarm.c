#include "base/alarm.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "base/raw_io.h"

int alarm_init(struct alarm *alarm) {
    pthread_mutex_init(&alarm->lock, NULL);
    alarm->due_ns = 0;
    alarm->wake = raw_above_stdio(raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0));
    alarm->timer =
        raw_above_stdio(raw_syscall(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK, 0, 0, 0));
    if (alarm->wake < 0)
        return alarm->wake;
    return alarm->timer < 0 ? alarm->timer : 0;
}

void alarm_deinit(struct alarm *alarm) {
    raw_close(alarm->wake);
    raw_close(alarm->timer);
}

void alarm_ring(struct alarm *alarm) { raw_signal(alarm->wake); }

void alarm_ring_at(struct alarm *alarm, uint64_t due_ns) {
    struct itimerspec at = {.it_value = {(time_t)(due_ns / 1000000000u), (long)(due_ns % 1000000000u)}};
    pthread_mutex_lock(&alarm->lock);
    if (!alarm->due_ns || due_ns < alarm->due_ns) {
        alarm->due_ns = due_ns;
        raw_syscall(SYS_timerfd_settime, alarm->timer, TFD_TIMER_ABSTIME, (long)&at, 0, 0);
    }
    pthread_mutex_unlock(&alarm->lock);
}

void alarm_take_ring(struct alarm *alarm) { raw_clear(alarm->wake); }

void alarm_take_time(struct alarm *alarm) {
    pthread_mutex_lock(&alarm->lock);
    alarm->due_ns = 0;
    raw_clear(alarm->timer);
    pthread_mutex_unlock(&alarm->lock);
}

void due_arm(struct due *due, uint64_t at_ns) {
    uint64_t at = due_at(due);
    while (at_ns && (at == 0 || at > at_ns)) {
        if (__atomic_compare_exchange_n(&due->at_ns, &at, at_ns, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            alarm_ring_at(due->alarm, at_ns);
            return;
        }
    }
}
