#include "lease/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

void lease_init(struct lease *lease, struct channel *channel, uint32_t open_timeout_ms) {
    lease->channel = channel;
    lease->worker_pidfd = -1;
    lease->open_timeout_ms = open_timeout_ms;
    lease->drain_ms = BERTH_DRAIN_TIMEOUT_MS;
    lease->teardown_ms = BERTH_TEARDOWN_TIMEOUT_MS;
}

void lease_deinit(struct lease *lease) {
    free(lease->config);
    free(lease->close_answer);
}

int lease_keep_config(struct lease *lease, const void *config, size_t len) {
    lease->config = malloc(len + 1);
    if (!lease->config)
        return -ENOMEM;
    if (len)
        memcpy(lease->config, config, len);
    lease->config_len = len;
    return 0;
}

/* What new requests are told in a state. */
static uint32_t refusal(const struct lease *lease) {
    switch (lease->state) {
    case LEASE_OPENING:
    case LEASE_ACTIVE:
        return BERTH_RET_OK;
    case LEASE_CLOSING:
    case LEASE_RECYCLING:
        return BERTH_RET_RECYCLED;
    case LEASE_CLOSED:
    case LEASE_OVER:
        return BERTH_RET_CLOSED;
    default:
        return verdict_ret(&lease->channel->verdict);
    }
}

int lease_move(struct lease *lease, enum lease_event event) {
    int next = lease_fsm_next(lease->state, lease_facts(lease), event);
    if (next < 0)
        return -1;
    __atomic_store_n(&lease->state, (uint32_t)next, __ATOMIC_SEQ_CST); /* before a look at the facts */
    __atomic_store_n(&lease->channel->refusal, refusal(lease), __ATOMIC_RELAXED);
    return 0;
}

void lease_note(struct lease *lease, enum lease_fact fact) {
    __atomic_fetch_or(&lease->facts, fact, __ATOMIC_SEQ_CST);
    eventcount_advance(&lease->changed);
}

/* Only what ended the worker, and not what it or its host did wrong, is taken back by a restart. */
static int comes_back(const struct lease *lease, uint32_t ret) {
    return lease->config && lease_has(lease, LEASE_HAS_HANDLE) && lease->state == LEASE_ACTIVE &&
           (ret == BERTH_RET_WORKER_DIED || ret == BERTH_RET_RECYCLED);
}

int lease_end(struct lease *lease, uint32_t ret, const void *data, size_t len) {
    struct channel *channel = lease->channel;
    pthread_mutex_lock(&channel->submit_lock);
    if (verdict_is_given(&channel->verdict)) {
        pthread_mutex_unlock(&channel->submit_lock);
        return 0;
    }
    /* In a close every request left ends as cut off, whatever ended the worker. */
    if (lease->state == LEASE_CLOSING && ret != BERTH_RET_RECYCLED) {
        ret = BERTH_RET_RECYCLED;
        data = BERTH_TEXT_CUT_OFF;
        len = sizeof BERTH_TEXT_CUT_OFF - 1;
        if (lease_facts(lease) & (LEASE_HAS_WORKER | LEASE_HAS_UNSEEN_WORKER))
            __atomic_store_n(&lease->outcome, BERTH_KILLED, __ATOMIC_RELAXED);
    }
    int back = comes_back(lease, ret);
    verdict_give(&channel->verdict, ret, data, len, back);
    int moved = lease_move(lease, back ? LEASE_PAUSE : LEASE_ENDED);
    assert(moved == 0);
    (void)moved;
    pthread_mutex_unlock(&channel->submit_lock);
    eventcount_advance(&lease->changed);
    return 1;
}

void lease_created(struct lease *lease) {
    pthread_mutex_lock(&lease->channel->submit_lock);
    lease_move(lease, LEASE_CREATED);
    lease_note(lease, LEASE_HAS_HANDLE);
    bound_lift(&lease->bounds, BOUND_OPEN);
    pthread_mutex_unlock(&lease->channel->submit_lock);
}

uint32_t lease_close_ms(const struct lease *lease) { return 2 * lease->drain_ms + lease->teardown_ms; }
