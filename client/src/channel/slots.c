#include "channel/slots.h"

#include <string.h>
#include <sys/mman.h>

#include "base/raw_io.h"
#include "ring_abi.h"
#include "spin.h"
#include "status.h"

void request_pause(uint32_t *turns) {
    /* A claim lasts for a copy. Its holder may have lost the CPU, to a thread of a higher priority perhaps: to us. */
    struct timespec pause = {0, 50000};
    if (++*turns < 256)
        berth_spin_pause();
    else if (*turns < 512)
        sched_yield();
    else
        raw_syscall(SYS_nanosleep, (long)&pause, 0, 0, 0, 0);
}

static size_t size_of(const struct slots *slots) { return slots->total * sizeof(struct request); }

/* One array is kept for the next context, zero again: a fresh one costs a mapping, its faults, and a wait of all threads
 * when it goes. */
static struct request *spare;
#define SPARE_TOTAL BERTH_DEFAULT_IN_FLIGHT
#define SPARE_BEGUN_MOST 64u

static struct request *take_spare(const struct slots *slots) {
    return slots->total == SPARE_TOTAL ? __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL) : NULL;
}

/* 0: it is still the caller's. */
static int keep_spare(const struct slots *slots) {
    struct request *none = NULL;
    if (slots->total != SPARE_TOTAL || slots->for_create != SLOTS_NONE || slots->begun > SPARE_BEGUN_MOST)
        return 0;
    memset(slots->requests, 0, slots->begun * sizeof *slots->requests);
    return __atomic_compare_exchange_n(&spare, &none, slots->requests, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* As the kernel gives them, zero and not there before they are used: calloc would clear a freed array again. */
int slots_init(struct slots *slots, uint32_t in_flight, int for_create) {
    *slots = (struct slots){.total = in_flight, .for_create = SLOTS_NONE};
    if (for_create) {
        slots->total += in_flight < BERTH_MAX_IN_FLIGHT;
        slots->for_create = slots->total - 1;
    }
    slots->requests = take_spare(slots);
    if (!slots->requests) {
        void *memory = mmap(NULL, size_of(slots), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        slots->requests = memory == MAP_FAILED ? NULL : memory;
    }
    if (slots->requests && for_create)
        slots->requests[slots->for_create].slot = slots->for_create;
    return slots->requests ? 0 : -ENOMEM;
}

void slots_deinit(struct slots *slots) {
    if (slots->requests && !keep_spare(slots))
        munmap(slots->requests, size_of(slots));
    slots->requests = NULL;
}

/* Slots are begun when they are first needed: room for 65,536 requests is 6 MiB, of which most contexts touch a page.
 */
static void begin_slot(struct slots *slots) {
    uint32_t slot = slots->begun;
    if (slot == (slots->for_create == SLOTS_NONE ? slots->total : slots->for_create))
        return;
    slots->requests[slot].slot = slot;
    slots->free_local = slot + 1;
    __atomic_store_n(&slots->begun, slot + 1, __ATOMIC_RELEASE);
}

/* Freed slots come back over free_shared, pushed by any thread and taken whole by the one that holds the submit lock;
 * so no slot can leave and return between a push's look and its exchange. */
void slots_prepare(struct slots *slots) {
    if (slots->free_local)
        return;
    if (__atomic_load_n(&slots->free_shared, __ATOMIC_RELAXED))
        slots->free_local = (uint32_t)__atomic_exchange_n(&slots->free_shared, 0, __ATOMIC_ACQUIRE);
    else
        begin_slot(slots);
}

static struct request *take_for_create(struct slots *slots) {
    struct request *request = &slots->requests[slots->for_create];
    return request_state_of(request_load(request)) == REQUEST_FREE ? request : NULL;
}

struct request *slots_take(struct slots *slots, enum request_kind kind) {
    if (slots->for_create != SLOTS_NONE && (REQUEST_KIND(kind) & REQUEST_CREATES))
        return take_for_create(slots);
    slots_prepare(slots);
    if (!slots->free_local)
        return NULL;
    struct request *request = &slots->requests[slots->free_local - 1];
    slots->free_local = request->next_free;
    return request;
}

void slots_put_back(struct slots *slots, struct request *request) {
    if (request->slot == slots->for_create)
        return;
    request->next_free = slots->free_local;
    slots->free_local = request->slot + 1;
}

static int any(struct slots *slots, uint32_t states) {
    uint32_t at = 0;
    for (struct request *request; (request = slots_next(slots, &at));)
        if (1u << request_state_of(__atomic_load_n(&request->word, __ATOMIC_RELAXED)) & states)
            return 1;
    return 0;
}

int slots_any_in_flight(struct slots *slots) {
    return any(slots, 1u << REQUEST_PENDING | 1u << REQUEST_CLAIMED | 1u << REQUEST_ABANDONED);
}
int slots_any_abandoned(struct slots *slots) { return any(slots, 1u << REQUEST_ABANDONED); }
