/* What berth_submit and berth_try_call have in common: requests that are answered later. */
#ifndef BERTH_SUBMITTED_H
#define BERTH_SUBMITTED_H

#include "context/context.h"

/* A request for berth_reap, as it stands if it is submitted now. */
static inline struct request_options submitted_options(const struct context *context, void *user_data) {
    struct request_options options = {.kind = REQUEST_POLL, .user_data = user_data, .submitted_ns = clock_coarse_ns()};
    options.stale_warn_ns = context->stale_warn_ms == UINT32_MAX ? 0 : (uint64_t)context->stale_warn_ms * 1000000u;
    options.next_ping_ns = options.submitted_ns + options.stale_warn_ns;
    return options;
}

static inline void submitted_arm_pings(struct context *context, const struct request_options *options) {
    uint64_t due = due_at(&context->due);
    if (options->stale_warn_ns && (!due || due > options->next_ping_ns))
        due_arm(&context->due, options->next_ping_ns);
}

#endif
