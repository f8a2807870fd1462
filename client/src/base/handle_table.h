/* 64-bit handles {generation, slot} for objects that may go away while others still name them.
 *
 * Slots are never freed, so a stale or made-up handle reads a slot that exists and finds another generation. The
 * generation and the number of users share one word: taking a reference and checking the handle are one operation.
 * Generations that are given out are odd; a slot whose handle has ended, and which is still in use, has an even one. */
#ifndef BERTH_HANDLE_TABLE_H
#define BERTH_HANDLE_TABLE_H

#include <pthread.h>
#include <stdint.h>

#define HANDLE_CHUNK_SLOTS 1024u
#define HANDLE_CHUNKS 64u

struct handle_slot {
    uint64_t life; /* generation << 32 | references */
    void *object;
    uint32_t next_free; /* slot number + 1 */
};

struct handle_table {
    pthread_mutex_t lock;
    struct handle_slot *chunks[HANDLE_CHUNKS];
    uint32_t slots;      /* ever used */
    uint32_t first_free; /* slot number + 1 */
    uint32_t newest;     /* generation that was ever given out */
    uint32_t oldest;     /* generation of this process's; those below are of the processes that it was forked from */
    struct handle_table *former; /* those processes': out of use */
};

#define HANDLE_TABLE_INIT                                                                                              \
    { PTHREAD_MUTEX_INITIALIZER, {0}, 0, 0, 0, 1, 0 }

/* In a forked child, before any other thread uses the table: it begins anew. What it held is the parent's, and so is
 * its lock, which may be held for ever. */
void handle_table_renew(struct handle_table *table);

/* Why there is nothing behind a handle: FORKED or INVALID_CTX. */
int handle_refusal(const struct handle_table *table, uint64_t handle);

/* A new handle for `object`, with one reference, the owner's. 0 when the table is full or there is no memory. */
uint64_t handle_new(struct handle_table *table, void *object);

/* The object behind the handle with one more reference, or NULL. */
void *handle_acquire(struct handle_table *table, uint64_t handle);

/* One more reference for somebody who has one. */
void handle_retain(struct handle_table *table, uint64_t handle);

/* Ends the handle: no acquire succeeds from here on. References stay. 1 for the one caller that ended it. */
int handle_end(struct handle_table *table, uint64_t handle);

/* Gives a reference back. 1: it was the last one of an ended handle; the caller frees the object and then the slot. */
int handle_release(struct handle_table *table, uint64_t handle);
void handle_free_slot(struct handle_table *table, uint64_t handle);

#endif
