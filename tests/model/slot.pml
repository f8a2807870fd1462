/* Request slots and the baton of one context (daemon/DESIGN.md, Client): who answers a request, and who wakes whom.
 *
 * A slot's word is {generation, kind, state}, and changes by one compare-and-swap of the whole:
 *
 *   FREE → PENDING        submit, with the next generation, under the submit lock
 *   PENDING → CLAIMED     whoever has business with it: the answerer, a ping, a cancel, the verdict, a hand-over
 *   CLAIMED → PENDING     it was pinged or handed over, or its answer found no room: come again
 *   CLAIMED → DONE        blocking: the answer is in *reply;  DONE → FREE by its owner
 *   CLAIMED → FREE        for berth_reap: the answer is on its way
 *   CLAIMED → ABANDONED   cancelled, or past its deadline: it has had its answer, the worker's is still to come
 *   ABANDONED → FREE      by the baton's holder, when that has come or never will
 *
 * The baton's holder is the one reader of the reply ring. Owners of blocking requests lead (take the baton, read until
 * their own answer has come) or follow (sleep until called). Steps between which a thread can be preempted are steps of
 * the model; memory is sequentially consistent, as the baton and the waiters' list are. How a leader sleeps on the ring
 * is wakeup.pml's.
 *
 * Must hold: each request that was accepted gets one answer, its own; nobody writes to a reply whose owner has left or
 * looks into a slot that was given back; nobody sleeps for good (an invalid end state). And the rule itself: only who
 * has claimed a request answers it, and what is claimed is claimed by somebody who has business with it (RULE).
 *
 * Each of these must fail:
 * -DOWNER_EXEMPT            a leader answers its own request without a claim
 * -DPING_CLAIMS_BLOCKING    a ping looks at the kind, and then swaps the state alone
 * -DCANCEL_CLAIMS_STATE     a cancel swaps the state alone, and compares the generation afterwards
 * -DFREE_EARLY              a slot is given back before the answer has been made of it
 * -DDEADLINE_FREES          PENDING → FREE at a deadline
 * -DDEADLINE_TAKES          an owner past its deadline leaves also when its request is claimed
 * -DHAND_OVER_UNCLAIMED     berth_try_call changes the kind of a pending request
 * -DWAITERS_FIRST           the giver looks for waiters, and then clears the baton
 * -DLOOK_FIRST              a waiter looks at the baton, and then links itself
 * -DNO_PASS_ON              a waiter that was called and has no more use for the baton calls nobody
 * -DSETTLE_BEFORE           the giver looks for a verdict only before it clears the baton
 * -DNO_RULE leaves RULE out, so as to see the harm itself. -DSLOTS=n; -DCALLS=2: of the owner that has deadlines.
 * -DNO_PINGS, -DNO_CANCEL, -DNO_VERDICT and -DNO_POLL leave somebody out; -DIN_ORDER: the worker keeps the order. */
#ifndef SLOTS
#define SLOTS 1
#endif

#define FREE 0
#define PENDING 1
#define CLAIMED 2
#define DONE 3
#define ABANDONED 4

#define BLOCKING 0
#define POLL 1

#ifdef NO_RULE
#define RULE(what) skip
#else
#define RULE(what) assert(what)
#endif

/* Who claims: an owner's number, or one of these. */
#define REAPER 2
#define PINGER 3
#define CANCELLER 4
#define JUDGE 5
#define NOBODY 6

#define OWNERS 2
#define REQUESTS 4   /* 0: the first owner's; 1, 2: the second one's; 3: for berth_reap */
#ifndef CALLS
#define CALLS 1      /* of the second owner */
#endif
#define NONE 7

byte generation[SLOTS], kind[SLOTS], state[SLOTS]; /* the word */
byte request[SLOTS];  /* whose it is; written before PENDING, read by who has claimed it */
byte claimer[SLOTS];  /* for the rule only */
bool token[SLOTS];    /* the owner's parker */

byte baton = 0;
byte waiting[OWNERS]; /* slots of those who want the baton, oldest first; NONE: none */
byte wanted = 0;
byte poke = 0;
bool failed = false, settled = false, dead = false;

chan requests = [REQUESTS] of { byte, byte, byte }; /* slot, generation, request */
chan replies = [REQUESTS] of { byte, byte, byte };

byte in_call[OWNERS];         /* the request whose reply is still on its owner's stack; NONE: none */
byte answers[REQUESTS];
bool accepted[REQUESTS];
byte for_reap = 0;            /* requests for berth_reap without an answer */
byte finished = 0;
bool no_room = true;          /* an answer may once find no room */
byte stale_slot = NONE, stale_generation = 0; /* the id that the canceller has */

#define owner_of(r) (r == 0 -> 0 : 1)
#define verdict_open (failed && !settled)

inline answered(REQUEST) { atomic { answers[REQUEST]++; assert(answers[REQUEST] == 1) } }

inline give_back(SLOT) { atomic { state[SLOT] = FREE; claimer[SLOT] = NOBODY } }

/* Of a request that is claimed: its answer, for the request that the answer is for. */
inline make_answer(SLOT, REQUEST, ME, OWN) {
    if
    :: kind[SLOT] == BLOCKING ->
        /* The copying begins and ends, and both times the reply must be there. */
        atomic {
            RULE(state[SLOT] == CLAIMED && claimer[SLOT] == ME);
            assert(request[SLOT] == REQUEST && in_call[owner_of(REQUEST)] == REQUEST)
        };
        atomic { assert(in_call[owner_of(REQUEST)] == REQUEST); answered(REQUEST) };
        atomic { state[SLOT] = DONE; claimer[SLOT] = NOBODY };
        if
        :: SLOT != OWN -> token[SLOT] = true
        :: else
        fi
    :: else ->
        RULE(state[SLOT] == CLAIMED && claimer[SLOT] == ME);
#ifdef FREE_EARLY
        give_back(SLOT);
#endif
        atomic { assert(request[SLOT] == REQUEST); answered(REQUEST); for_reap-- };
#ifndef FREE_EARLY
        give_back(SLOT)
#endif
    fi
}

/* Until it is claimed; or given up, and then free. */
inline claim_to_answer(SLOT, ME, GOT) {
    do
    :: atomic { state[SLOT] == PENDING -> state[SLOT] = CLAIMED; claimer[SLOT] = ME; GOT = true; break }
    :: atomic { state[SLOT] == ABANDONED -> state[SLOT] = FREE; GOT = false; break }
    :: state[SLOT] == FREE || state[SLOT] == DONE -> assert(false)
    od
}

/* Baton held. */
inline take_frame(ME, OWN, MAY_FAIL) {
    atomic {
        replies?<fs, fg, fr>;
        assert(generation[fs] == fg && state[fs] != FREE && state[fs] != DONE);
        got = true
    };
#ifdef OWNER_EXEMPT
    if
    :: fs == OWN -> skip
    :: else -> claim_to_answer(fs, ME, got)
    fi;
#else
    claim_to_answer(fs, ME, got);
#endif
    if
    :: got && kind[fs] == POLL && MAY_FAIL && no_room ->
        no_room = false;
        atomic { state[fs] = PENDING; claimer[fs] = NOBODY }
    :: got && !(kind[fs] == POLL && MAY_FAIL && no_room) ->
        make_answer(fs, fr, ME, OWN);
        replies?_, _, _
    :: !got -> replies?_, _, _
    fi
}

inline settle(ME) {
    do
    :: nempty(replies) -> take_frame(ME, NONE, false)
    :: empty(replies) -> break
    od;
    fs = 0;
    do
    :: fs < SLOTS ->
        do
        :: state[fs] == FREE || state[fs] == DONE -> break
        :: atomic { state[fs] == ABANDONED -> state[fs] = FREE }
        :: atomic { state[fs] == PENDING -> state[fs] = CLAIMED; claimer[fs] = ME };
            make_answer(fs, request[fs], ME, NONE)
        od;
        fs++
    :: else -> break
    od;
    settled = true
}

inline call_next() {
    atomic {
        if
        :: waiting[0] != NONE -> token[waiting[0]] = true
        :: else
        fi
    }
}

inline give(ME) {
    do
    :: true ->
        if
        :: verdict_open -> settle(ME)
        :: else
        fi;
#ifdef WAITERS_FIRST
        got = wanted > 0;
#endif
        baton = 0;
#ifdef SETTLE_BEFORE
        break
#else
        if
        :: verdict_open ->
            if
            :: atomic { baton == 0 -> baton = 1 }
            :: baton == 1 -> break
            fi
        :: else -> break
        fi
#endif
    od;
#ifdef WAITERS_FIRST
    if
    :: got -> call_next()
#else
    if
    :: wanted > 0 -> call_next()
#endif
    :: else
    fi
}

inline link(SLOT) {
    atomic {
        if
        :: waiting[0] == NONE -> waiting[0] = SLOT
        :: else -> waiting[1] = SLOT
        fi;
        wanted++
    }
}
inline unlink(SLOT) {
    atomic {
        if
        :: waiting[0] == SLOT -> waiting[0] = waiting[1]
        :: else
        fi;
        waiting[1] = NONE;
        wanted--
    }
}

/* Under the submit lock; a verdict is written under it, too. The slot: NONE when it was refused. */
inline submit(REQUEST, KIND, SLOT) {
    atomic {
        SLOT = 0;
        do
        :: failed -> SLOT = NONE; break
        :: !failed && SLOT == SLOTS -> SLOT = NONE; break /* BUSY */
        :: !failed && SLOT < SLOTS && state[SLOT] == FREE -> break
        :: !failed && SLOT < SLOTS && state[SLOT] != FREE -> SLOT++
        od;
        if
        :: SLOT != NONE ->
            generation[SLOT]++;
            kind[SLOT] = KIND;
            request[SLOT] = REQUEST;
            state[SLOT] = PENDING;
            accepted[REQUEST] = true;
            requests!SLOT, generation[SLOT], REQUEST;
            if
            :: KIND == POLL ->
                for_reap++;
                stale_slot = SLOT;
                stale_generation = generation[SLOT]
            :: else -> in_call[owner_of(REQUEST)] = REQUEST
            fi
        :: else
        fi
    }
}

/* The one without a deadline waits for good. */
proctype owner(byte me; byte first; byte last; bool timed) {
    byte r = first, s, fs, fg, fr, seen;
    bool got, late;
    do
    :: r > last -> break
    :: else ->
        submit(r, BLOCKING, s);
        late = false;
        do
        :: s == NONE -> break
        :: s != NONE && (state[s] == DONE || late) -> break
        :: s != NONE && !(state[s] == DONE || late) ->
            if
            :: atomic { baton == 0 -> baton = 1 };
                /* lead */
                do
                :: state[s] == DONE -> break
                :: else ->
                    seen = poke;
                    if
                    :: nempty(replies) -> take_frame(me, s, false)
                    :: empty(replies) ->
                        if
                        :: failed -> break
                        :: !failed ->
                            if
                            :: nempty(replies) || poke != seen
                            :: timed -> late = true; break
                            fi
                        fi
                    fi
                od;
                give(me)
            :: baton == 1 ->
                /* follow */
#ifdef LOOK_FIRST
                got = state[s] != DONE && baton == 1;
                link(s);
#else
                link(s);
                got = state[s] != DONE && baton == 1;
#endif
                if
                :: got ->
                    if
                    :: atomic { token[s] -> token[s] = false }
                    :: timed -> late = true
                    fi
                :: else
                fi;
                unlink(s);
#ifdef CLOCK_TWICE
                if
                :: (state[s] == DONE || late) && wanted > 0 && baton == 0 -> call_next()
                :: else
                fi
#endif
            :: timed -> late = true
            fi
        od;
#if !defined(NO_PASS_ON) && !defined(CLOCK_TWICE)
        /* It may have been called; the call was for the baton. */
        if
        :: s != NONE && wanted > 0 && baton == 0 -> call_next()
        :: else
        fi;
#endif
        if
        :: s == NONE
        :: s != NONE && state[s] == DONE -> state[s] = FREE
        :: s != NONE && state[s] != DONE -> /* late */
            do
            :: state[s] == DONE -> state[s] = FREE; break
#ifdef DEADLINE_FREES
            :: atomic { state[s] == PENDING -> state[s] = FREE }; answered(r); break
#else
            :: atomic { state[s] == PENDING -> state[s] = CLAIMED; claimer[s] = me };
                answered(r);
                atomic { state[s] = ABANDONED; claimer[s] = NOBODY };
                break
#endif
#ifdef DEADLINE_TAKES
            :: state[s] == CLAIMED -> state[s] = ABANDONED; answered(r); break
#endif
#ifndef NO_POLL
            /* berth_try_call: it becomes one for berth_reap */
#ifdef HAND_OVER_UNCLAIMED
            :: state[s] == PENDING -> for_reap++; kind[s] = POLL; break
#else
            :: atomic { state[s] == PENDING -> state[s] = CLAIMED; claimer[s] = me };
                for_reap++;
                kind[s] = POLL;
                atomic { state[s] = PENDING; claimer[s] = NOBODY };
                break
#endif
#endif
            od
        fi;
        in_call[me] = NONE;
        r++
    od;
    finished++
}

/* berth_submit, and a berth_reap that sleeps until the ring has something, while something is owed. */
proctype reaper() {
    byte s, fs, fg, fr;
    bool got;
    submit(3, POLL, s);
    do
    :: finished == OWNERS && for_reap == 0 -> break
    :: atomic { for_reap > 0 && baton == 0 && nempty(replies) -> baton = 1 };
        take_frame(REAPER, NONE, true);
        give(REAPER)
    od
}

/* The control thread, once around. */
proctype pinger() {
    byte s, round, g, r;
    bool got;
    do
    :: round < SLOTS ->
        s = round;
        g = generation[s];
        if
        :: kind[s] == POLL && state[s] == PENDING ->
            r = request[s];
#ifdef PING_CLAIMS_BLOCKING
            atomic {
                if
                :: state[s] == PENDING -> state[s] = CLAIMED; claimer[s] = PINGER; got = true
                :: else -> got = false
                fi
            };
#else
            atomic {
                if
                :: state[s] == PENDING && kind[s] == POLL && generation[s] == g ->
                    state[s] = CLAIMED; claimer[s] = PINGER; got = true
                :: else -> got = false
                fi
            };
#endif
            if
            :: got ->
                RULE(kind[s] == POLL && generation[s] == g);
#ifdef PING_CLAIMS_BLOCKING
                /* It looks at the kind again, now that it has it. */
                if
                :: kind[s] == POLL -> assert(answers[request[s]] == 0)
                :: else
                fi;
#else
                assert(request[s] == r && answers[r] == 0); /* no ping follows an answer */
#endif
                atomic { state[s] = PENDING; claimer[s] = NOBODY }
            :: else
            fi
        :: else
        fi;
        round++
    :: else -> break
    od
}

/* berth_cancel of the request for berth_reap, at whatever time; its slot may be another's by now. */
proctype canceller() {
    byte s, g;
    bool got;
    if
    :: stale_slot != NONE
    :: finished == OWNERS -> goto out
    fi;
    s = stale_slot;
    g = stale_generation;
#ifdef CANCEL_CLAIMS_STATE
    if
    :: atomic { state[s] == PENDING -> state[s] = CLAIMED; claimer[s] = CANCELLER; got = true }
    :: state[s] != PENDING && state[s] != CLAIMED -> got = false
    fi;
    if
    :: got && !(generation[s] == g && kind[s] == POLL) ->
        RULE(false);
        atomic { state[s] = PENDING; claimer[s] = NOBODY };
        got = false
    :: else
    fi;
#else
    if
    :: atomic { state[s] == PENDING && kind[s] == POLL && generation[s] == g ->
            state[s] = CLAIMED; claimer[s] = CANCELLER; got = true }
    :: generation[s] != g || kind[s] != POLL || state[s] == FREE || state[s] == DONE || state[s] == ABANDONED -> got = false
    fi;
#endif
    if
    :: got ->
        answered(request[s]);
        for_reap--;
        atomic { state[s] = ABANDONED; claimer[s] = NOBODY }
    :: else
    fi;
out:
    skip
}

proctype worker() {
    byte s, g, r;
end:
    do
    :: atomic {
        !dead && nempty(requests) -> requests?s, g, r;
        if
        :: replies!s, g, r
#ifndef IN_ORDER
        :: nempty(requests) -> requests!s, g, r
#endif
        fi
    }
    od
}

/* It dies, or does not. */
proctype judge() {
    byte fs, fg, fr;
    bool got;
    if
    :: skip
    :: dead = true;
        failed = true;
        poke++;
        if
        :: atomic { baton == 0 -> baton = 1 }; give(JUDGE)
        :: baton == 1 /* its holder sees to it */
        fi
    fi
}

init {
    byte i;
    atomic {
        waiting[0] = NONE;
        waiting[1] = NONE;
        in_call[0] = NONE;
        in_call[1] = NONE;
        for (i : 0 .. SLOTS - 1) { claimer[i] = NOBODY };
        run worker(); /* first: processes can only go in the reverse order */
        run owner(0, 0, 0, false);
        run owner(1, 1, CALLS, true);
#ifndef NO_POLL
        run reaper();
#endif
#ifndef NO_PINGS
        run pinger();
#endif
#ifndef NO_CANCEL
        run canceller();
#endif
#ifndef NO_VERDICT
        run judge();
#endif
    };
    _nr_pr == 2; /* the worker is left */
    for (i : 0 .. REQUESTS - 1) { assert(!accepted[i] || answers[i] == 1) }
}
