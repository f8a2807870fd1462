#include "channel/progress.h"

#include <stdio.h>

#include "base/clock.h"
#include "channel/baton.h"
#include "kill_point.h"

static int deliver(struct channel *channel, struct request *request, const void *text, size_t len,
                   struct reap_sink *sink) {
    const struct request_options *to = &request->options;
    if (!to->callback && sink && !completion_count(&channel->outbox.for_reap))
        return reap_sink_put(sink, BERTH_PROGRESS, request_id(request), BERTH_RET_STALE_WARN, to->user_data, text, len)
                   ? 0
                   : -ENOBUFS;
    int rc = outbox_put_progress(&channel->outbox, request, text, len);
    if (rc == 0)
        outbox_told(channel, to->callback);
    return rc;
}

/* A worker that has answered already, or lies. */
static int is_owed(uint64_t word, uint64_t id) {
    uint32_t state = request_state_of(word);
    return word >> 32 == id >> 32 && state != REQUEST_FREE && state != REQUEST_DONE;
}

/* Claimed meanwhile, so that a cancel's answer cannot come first. The module's word stands for our next ping. */
int channel_take_progress(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload,
                          struct reap_sink *sink) {
    struct request *request = slots_find(&channel->slots, header->id);
    uint64_t word;
    uint8_t text[OUTBOX_PROGRESS_BYTES];
    if (!request || header->size > sizeof text || !is_owed(request_load(request), header->id))
        return -EBADMSG;
    if (!request_claim(request, (uint32_t)(header->id >> 32), REQUEST_SUBMITTED, &word))
        return 0; /* a caller that waits, an open, or answered here meanwhile */
    int rc = 0;
    uint64_t every = request->options.stale_warn_ns;
    memcpy(text, payload, header->size);
    if (every) {
        rc = deliver(channel, request, text, header->size, sink);
        if (rc == 0)
            request->options.next_ping_ns = berth_now_ns() + every;
    }
    request_unclaim(request);
    return rc;
}

static uint64_t ping(struct channel *channel, struct request *request, uint64_t now) {
    struct request_options *options = &request->options;
    char text[24];
    if (!options->stale_warn_ns)
        return 0;
    if (now >= options->next_ping_ns) {
        int len = snprintf(text, sizeof text, "%llu", (unsigned long long)(now - options->submitted_ns) / 1000000);
        deliver(channel, request, text, (size_t)len, NULL); /* no memory: the next one may get through */
        options->next_ping_ns = now + options->stale_warn_ns;
    }
    return options->next_ping_ns;
}

/* A request is claimed while it is looked at, so that no ping follows its answer. */
uint64_t channel_ping(struct channel *channel, uint64_t now) {
    uint64_t next = 0;
    uint32_t at = 0;
    for (struct request *request; (request = slots_next(&channel->slots, &at));) {
        uint64_t word = request_load(request);
        uint32_t state = request_state_of(word);
        /* One that another has claimed is waited for: it may stay in flight, and this may be the last look for long. */
        if ((state != REQUEST_PENDING && state != REQUEST_CLAIMED) ||
            !request_claim(request, request_generation_of(word), REQUEST_SUBMITTED, &word))
            continue;
        BERTH_DELAY_POINT("host.ping_claimed");
        next = clock_sooner(next, ping(channel, request, now));
        request_unclaim(request);
    }
    return next;
}
