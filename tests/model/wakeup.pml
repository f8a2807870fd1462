/* The wakeup rule of proto/ring.h: berth_ring_publish and berth_ring_kick against berth_ring_prepare_wait,
 * berth_ring_sleep and berth_ring_finish_wait.
 *
 * A store may stay in its core's buffer while the core goes on to its next load (x86-TSO); a drain process moves it to
 * memory at any time. A sequentially consistent store is one that the core does not pass before it is in memory;
 * so is the producer's store of `tail`, with the fence behind it. Barriers that the kernel makes on the way into a
 * system call are not counted upon. There is always room in the ring: a full ring wakes nobody, and is no part of the
 * rule.
 *
 * Must hold: the consumer gets all N messages and notices the kick. A lost wakeup shows as an invalid end state (the consumer asleep, the
 * producer done) and as a run in which `all_arrive` never comes true.
 *
 * -DNO_PRODUCER_FENCE, -DNO_CONSUMER_FENCE: plain stores of `tail` (no fence), of `waiting`.
 * -DLATE_DRAIN: the consumer empties its eventfd after prepare_wait instead of before.
 * -DFUTEX_ON_TAIL: FUTEX_WAIT on `tail` instead of `waiting`. All four must fail.
 * -DPRODUCER_DIES: it may be killed between its exchange and its wakeup, and the kick comes after that; what it has
 * published must arrive. -DKICK_TRUSTS_WAITING: then the kick wakes only who `waiting` says is asleep. Must fail.
 * -DONLY_FUTEX, -DONLY_FD: one way of sleeping; without them each sleep picks one. */
#ifndef N
#define N 4
#endif

#define AWAKE 0
#define ASLEEP_FUTEX 1
#define ASLEEP_FD 2

byte tail = 0;         /* shared memory */
byte waiting = AWAKE;
byte eventfd = 0;      /* the kernel's: its counter, and whether the consumer is in FUTEX_WAIT */
bool in_futex = false;
byte consumed = 0;
bool stop = false;     /* what the kick is about */
bool noticed = false;
byte spurious = 1;     /* sleeps that may still end for no reason: EINTR, a deadline */
bool dead = false;     /* the producer, at its end or killed */

#ifdef PRODUCER_DIES
#define ALL_CONSUMED (consumed == tail)
#else
#define ALL_CONSUMED (consumed == N)
#endif

chan tail_buffer = [1] of { byte };
chan waiting_buffer = [1] of { byte };

#ifdef NO_PRODUCER_FENCE
#define STORE_TAIL(value) tail_buffer!value
#else
#define STORE_TAIL(value) tail = value
#endif

#ifdef NO_CONSUMER_FENCE
#define STORE_WAITING(value) waiting_buffer!value
#else
#define STORE_WAITING(value) waiting = value
#endif

#ifdef FUTEX_ON_TAIL
#define FUTEX_UNCHANGED (tail == head)
#else
#define FUTEX_UNCHANGED (waiting == ASLEEP_FUTEX)
#endif

active proctype tail_drain() {
end:
    do
    :: atomic { tail_buffer?tail }
    od
}

active proctype waiting_drain() {
end:
    do
    :: atomic { waiting_buffer?waiting }
    od
}

active proctype producer() {
    byte mine = 0; /* its own index: never read back from memory */
    byte seen;
    do
    :: mine < N ->
        mine++;
        STORE_TAIL(mine);
        seen = waiting;
        if
        :: seen == AWAKE
        :: else ->
            /* An exchange is a locked instruction: it waits for the core's own buffer. */
            atomic { empty(tail_buffer) -> seen = waiting; waiting = AWAKE };
#ifdef PRODUCER_DIES
            if
            :: break /* killed before its wakeup */
            :: skip
            fi;
#endif
            if
            :: seen == ASLEEP_FUTEX -> in_futex = false /* FUTEX_WAKE: nothing, if nobody waits */
            :: seen == ASLEEP_FD -> eventfd++
            :: else
            fi
        fi
    :: else -> break
    od;
    dead = true
}

active proctype kicker() {
    byte was;
#ifdef PRODUCER_DIES
    dead; /* whoever watches the pidfd, then */
#endif
    stop = true;
    atomic { was = waiting; waiting = AWAKE };
    if
#ifdef KICK_TRUSTS_WAITING
    :: was == ASLEEP_FUTEX -> in_futex = false
#else
    :: was != ASLEEP_FD -> in_futex = false
#endif
    :: was == ASLEEP_FD -> eventfd++
    :: else
    fi;
#ifdef PRODUCER_DIES
    eventfd++ /* the verdict is told to who polls, whatever the ring's word */
#endif
}

active proctype consumer() {
    byte head = 0;
    byte how, was;
    do
    :: ALL_CONSUMED && noticed -> break
    :: else ->
        if
        :: tail != head -> head++; consumed++
        :: else ->
            /* prepare_wait */
            if
#ifndef ONLY_FD
            :: how = ASLEEP_FUTEX
#endif
#ifndef ONLY_FUTEX
            :: how = ASLEEP_FD
#endif
            fi;
            STORE_WAITING(how);
            if
            :: tail != head -> STORE_WAITING(AWAKE)
            :: else ->
#ifdef LATE_DRAIN
                eventfd = 0;
#endif
                if
                :: stop && !noticed -> noticed = true
                :: else ->
                    if
                    :: how == ASLEEP_FUTEX ->
                        /* The kernel compares and sleeps in one step. */
                        atomic { if :: FUTEX_UNCHANGED -> in_futex = true :: else fi };
                        if
                        :: !in_futex
                        :: atomic { spurious > 0 && in_futex -> spurious--; in_futex = false }
                        fi
                    :: else ->
                        if
                        :: eventfd > 0
                        :: atomic { spurious > 0 && eventfd == 0 -> spurious-- }
                        fi
                    fi
                fi;
                /* finish_wait */
                atomic { empty(waiting_buffer) -> was = waiting; waiting = AWAKE };
#ifndef LATE_DRAIN
                eventfd = 0 /* whatever finish_wait says: a late write of an earlier sleep may be in it */
#endif
            fi
        fi
    od;
#ifdef PRODUCER_DIES
    assert(head == tail)
#else
    assert(head == N)
#endif
}

ltl all_arrive { <> (ALL_CONSUMED && noticed) }
