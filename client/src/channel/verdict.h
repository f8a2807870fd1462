/* What ended a context, and so what answers everything still in flight. The words; lease/ decides. */
#ifndef BERTH_VERDICT_H
#define BERTH_VERDICT_H

#include <stddef.h>
#include <stdint.h>

struct verdict {
    uint32_t given;   /* it stands. Written with the submit lock, after all of the below */
    uint32_t settled; /* everything in flight has been answered with it. By the baton's holder */
    uint32_t passing; /* a restart is to take it back, or has */
    uint32_t ret;     /* enum berth_ret; atomic */
    uint8_t *data;    /* with the submit lock, or the baton: a restart, which takes it back, has both */
    size_t len;
};

static inline int verdict_is_given(const struct verdict *verdict) {
    return __atomic_load_n(&verdict->given, __ATOMIC_SEQ_CST) != 0;
}
static inline int verdict_is_settled(const struct verdict *verdict) {
    return __atomic_load_n(&verdict->settled, __ATOMIC_SEQ_CST) != 0;
}
static inline int verdict_is_open(const struct verdict *verdict) {
    return verdict_is_given(verdict) && !verdict_is_settled(verdict);
}
/* Two looks: one that a restart takes back in between stays "passing" until the next is given. */
static inline int verdict_is_final(const struct verdict *verdict) {
    return verdict_is_settled(verdict) && !__atomic_load_n(&verdict->passing, __ATOMIC_SEQ_CST);
}
static inline uint32_t verdict_ret(const struct verdict *verdict) {
    return __atomic_load_n(&verdict->ret, __ATOMIC_ACQUIRE);
}

/* With the submit lock. The first one stands; `data` is copied. 1: this is the first. */
int verdict_give(struct verdict *verdict, uint32_t ret, const void *data, size_t len, int passing);
/* With the submit lock and the baton. */
void verdict_take_back(struct verdict *verdict);
void verdict_deinit(struct verdict *verdict);

#endif
