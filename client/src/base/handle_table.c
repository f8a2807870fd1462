#include "base/handle_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/fork_guard.h"
#include "berth/berth.h"

static uint32_t slot_number(uint64_t handle) { return (uint32_t)handle - 1; }

static struct handle_slot *slot_of(struct handle_table *table, uint64_t handle) {
    uint32_t number = slot_number(handle);
    if (number >= HANDLE_CHUNK_SLOTS * HANDLE_CHUNKS)
        return NULL;
    struct handle_slot *chunk = __atomic_load_n(&table->chunks[number / HANDLE_CHUNK_SLOTS], __ATOMIC_ACQUIRE);
    return chunk ? &chunk[number % HANDLE_CHUNK_SLOTS] : NULL;
}

/* The number of a free slot + 1, or 0. Called with the lock held. */
static uint32_t take_slot(struct handle_table *table) {
    if (table->first_free) {
        uint32_t number = table->first_free;
        table->first_free = slot_of(table, number)->next_free;
        return number;
    }
    if (table->slots == HANDLE_CHUNK_SLOTS * HANDLE_CHUNKS)
        return 0;
    uint32_t chunk = table->slots / HANDLE_CHUNK_SLOTS;
    if (!table->chunks[chunk]) {
        struct handle_slot *slots = calloc(HANDLE_CHUNK_SLOTS, sizeof *slots);
        if (!slots)
            return 0;
        __atomic_store_n(&table->chunks[chunk], slots, __ATOMIC_RELEASE);
    }
    return ++table->slots;
}

/* Called with the lock held. */
static uint32_t next_generation(struct handle_table *table, const struct handle_slot *slot) {
    uint32_t generation = (uint32_t)(__atomic_load_n(&slot->life, __ATOMIC_RELAXED) >> 32) + 1;
    if (generation < table->oldest)
        generation = table->oldest;
    generation |= 1;
    if (generation > table->newest)
        table->newest = generation;
    return generation;
}

uint64_t handle_new(struct handle_table *table, void *object) {
    pthread_mutex_lock(&table->lock);
    uint32_t number = take_slot(table);
    struct handle_slot *slot = number ? slot_of(table, number) : NULL;
    uint32_t generation = slot ? next_generation(table, slot) : 0;
    pthread_mutex_unlock(&table->lock);
    if (!slot)
        return 0;
    slot->object = object;
    __atomic_store_n(&slot->life, (uint64_t)generation << 32 | 1, __ATOMIC_RELEASE);
    return (uint64_t)generation << 32 | number;
}

void *handle_acquire(struct handle_table *table, uint64_t handle) {
    struct handle_slot *slot = slot_of(table, handle);
    if (!slot || !(handle >> 32 & 1))
        return NULL;
    uint64_t life = __atomic_load_n(&slot->life, __ATOMIC_ACQUIRE);
    do {
        if (life >> 32 != handle >> 32 || (uint32_t)life == 0)
            return NULL;
    } while (!__atomic_compare_exchange_n(&slot->life, &life, life + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return slot->object;
}

void handle_retain(struct handle_table *table, uint64_t handle) {
    __atomic_fetch_add(&slot_of(table, handle)->life, 1, __ATOMIC_ACQ_REL);
}

int handle_end(struct handle_table *table, uint64_t handle) {
    struct handle_slot *slot = slot_of(table, handle);
    uint64_t life = __atomic_load_n(&slot->life, __ATOMIC_ACQUIRE);
    do {
        if (life >> 32 != handle >> 32)
            return 0;
    } while (!__atomic_compare_exchange_n(&slot->life, &life, life + ((uint64_t)1 << 32), 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return 1;
}

int handle_release(struct handle_table *table, uint64_t handle) {
    return (uint32_t)__atomic_fetch_sub(&slot_of(table, handle)->life, 1, __ATOMIC_ACQ_REL) == 1;
}

void handle_free_slot(struct handle_table *table, uint64_t handle) {
    struct handle_slot *slot = slot_of(table, handle);
    slot->object = NULL;
    pthread_mutex_lock(&table->lock);
    slot->next_free = table->first_free;
    table->first_free = slot_number(handle) + 1;
    pthread_mutex_unlock(&table->lock);
}

/* `newest` is left as it is: it counts on, so that no handle is ever given out twice. */
void handle_table_renew(struct handle_table *table) {
    struct handle_table *former = malloc(sizeof *former);
    if (former)
        memcpy(former, table, sizeof *former);
    table->oldest = table->newest + 1;
    memset(table->chunks, 0, sizeof table->chunks);
    table->slots = 0;
    table->first_free = 0;
    table->former = former;
    pthread_mutex_init(&table->lock, NULL);
}

int handle_refusal(const struct handle_table *table, uint64_t handle) {
    uint32_t generation = (uint32_t)(handle >> 32);
    int parents = generation && generation < table->oldest;
    return fork_guard_is_child() || parents ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX;
}
