/* Does a worker get on with its work? Judged from words that it writes anyway, looked at now and then while it owes
 * something. Pure: looks and the time go in.
 *
 * The heartbeat of nim-ffi asked the library's thread each second; here a thread that has nothing to do is left alone.
 */
#ifndef BERTH_LIVENESS_H
#define BERTH_LIVENESS_H

#include <stdint.h>

#define LIVENESS_STALE_NS 1000000000u /* no progress for so long is an episode */
#define LIVENESS_LOOK_NS 500000000u   /* between two looks, while something is owed */
#define LIVENESS_GRACE_MS 10000u      /* of a new context, unless its manifest says otherwise */

struct liveness_look {
    uint64_t now_ns;
    uint64_t head, tail; /* of the request ring */
    uint64_t turns;      /* the worker's handler_turns: odd inside a handler */
    int owed;            /* requests are in flight */
    int stopped;         /* the process is stopped by a signal */
};

struct liveness {
    uint64_t head, turns;
    uint64_t moved_ns; /* when it was last seen to have made progress; 0: never looked */
    uint64_t grace_ns; /* until then it is never called silent */
    int silent;
};

enum liveness_verdict { LIVENESS_NOTHING, LIVENESS_NOT_RESPONDING, LIVENESS_RESPONDING };

/* Whether the process's state is worth a look: nothing has moved for long. */
int liveness_is_stale(const struct liveness *liveness, const struct liveness_look *look);
/* What is to be said now: each episode is told once, and its end once. *cause: static text, after NOT_RESPONDING.
 * *ms: how long it has been, or was, silent. */
enum liveness_verdict liveness_judge(struct liveness *liveness, const struct liveness_look *look, const char **cause,
                                     uint64_t *ms);

#endif
