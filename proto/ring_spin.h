/* The spinning half of waiting for a frame: what host and worker do before they sleep. */
#ifndef BERTH_PROTO_RING_SPIN_H
#define BERTH_PROTO_RING_SPIN_H

#include "ring.h"
#include "spin.h"

/* Looks until there is a frame (1), or until it is time to sleep, the deadline (0: none) has passed, *poke is no longer
 * `poke_was`, or *other (NULL: none) is no longer 0 (0). *started is when the wait began, for berth_spin_learn once the
 * sleep is over. The first looks are blind: on the hot path even reading the clock would show. */
static inline int berth_ring_spin_beside(struct berth_ring_consumer *ring, struct berth_spin *spin,
                                         const uint32_t *poke, uint32_t poke_was, const uint32_t *other,
                                         uint64_t deadline_ns, uint64_t *started) {
    struct berth_spin_turn turn;
    if (!spin->allowed) {
        *started = 0;
        return 0;
    }
    for (uint32_t i = spin->by_yield ? BERTH_SPIN_BLIND - 1 : 0; i < BERTH_SPIN_BLIND; i++) {
        if (berth_ring_ready(ring)) {
            spin->by_yield = spin->hogged = 0;
            berth_spin_learn(spin, 0);
            return 1;
        }
    }
    berth_spin_begin(spin, &turn);
    *started = turn.started;
    if (deadline_ns && turn.until > deadline_ns)
        turn.until = deadline_ns;
    do {
        for (int i = 0; i < 32; i++) {
            if (berth_ring_ready(ring)) {
                berth_spin_found(spin, &turn);
                return 1;
            }
        }
    } while (__atomic_load_n(poke, __ATOMIC_RELAXED) == poke_was &&
             !(other && __atomic_load_n(other, __ATOMIC_RELAXED)) && berth_spin_again(spin, &turn));
    return 0;
}

static inline int berth_ring_spin(struct berth_ring_consumer *ring, struct berth_spin *spin, const uint32_t *poke,
                                  uint32_t poke_was, uint64_t deadline_ns, uint64_t *started) {
    return berth_ring_spin_beside(ring, spin, poke, poke_was, NULL, deadline_ns, started);
}

#endif
