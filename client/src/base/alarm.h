/* Wakes the control thread: at once by an eventfd, or at a time by a timerfd, so that what is over by then has cost a
 * system call and no wakeup. Both are in its epoll. Any thread. */
#ifndef BERTH_ALARM_H
#define BERTH_ALARM_H

#include <pthread.h>
#include <stdint.h>

struct alarm {
    int wake;  /* eventfd */
    int timer; /* timerfd */
    pthread_mutex_t lock;
    uint64_t due_ns; /* what the timer is set to; 0: not set. Under lock */
};

/* 0 or -errno; deinit may follow either way. */
int alarm_init(struct alarm *alarm);
void alarm_deinit(struct alarm *alarm);
void alarm_ring(struct alarm *alarm);
void alarm_ring_at(struct alarm *alarm, uint64_t due_ns);
/* The eventfd, or the timer, was seen; before a look at what is due. */
void alarm_take_ring(struct alarm *alarm);
void alarm_take_time(struct alarm *alarm);

/* When something is next due for one of those whom the alarm serves. */
struct due {
    uint64_t at_ns; /* 0: nothing is. Compare-and-swap by any thread */
    struct alarm *alarm;
};

/* Has `due` looked at by at_ns at the latest; 0: never mind. */
void due_arm(struct due *due, uint64_t at_ns);
static inline uint64_t due_at(const struct due *due) { return __atomic_load_n(&due->at_ns, __ATOMIC_SEQ_CST); }

#endif
