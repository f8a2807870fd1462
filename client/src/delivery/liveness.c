#include "delivery/liveness.h"

#include <stddef.h>

static int busy(const struct liveness_look *look) { return look->owed || look->head != look->tail || look->turns % 2; }

static int moved(const struct liveness *liveness, const struct liveness_look *look) {
    return !liveness->moved_ns || !busy(look) || look->head != liveness->head || look->turns != liveness->turns;
}

int liveness_is_stale(const struct liveness *liveness, const struct liveness_look *look) {
    return !moved(liveness, look) && look->now_ns - liveness->moved_ns >= LIVENESS_STALE_NS;
}

static const char *cause_of(const struct liveness_look *look) {
    if (look->stopped)
        return "stopped";
    if (look->turns % 2)
        return "handler";
    return look->head != look->tail ? "queue" : NULL; /* NULL: its own threads are at work */
}

enum liveness_verdict liveness_judge(struct liveness *liveness, const struct liveness_look *look, const char **cause,
                                     uint64_t *ms) {
    *ms = liveness->moved_ns ? (look->now_ns - liveness->moved_ns) / 1000000 : 0;
    if (moved(liveness, look)) {
        int was_silent = liveness->silent;
        liveness->head = look->head;
        liveness->turns = look->turns;
        liveness->moved_ns = look->now_ns;
        liveness->silent = 0;
        return was_silent ? LIVENESS_RESPONDING : LIVENESS_NOTHING;
    }
    *cause = cause_of(look);
    if (liveness->silent || look->now_ns < liveness->grace_ns || !liveness_is_stale(liveness, look) || !*cause)
        return LIVENESS_NOTHING;
    liveness->silent = 1;
    return LIVENESS_NOT_RESPONDING;
}
