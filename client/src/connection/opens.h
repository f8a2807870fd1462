/* Opening a context: its first frame goes into the ring before a worker is found, and what is submitted meanwhile
 * queues behind it. The open's answer is the answer to that frame, or the supervisor's refusal. */
#ifndef BERTH_OPENS_H
#define BERTH_OPENS_H

#include "connection/client.h"

struct opening {
    const char *module;
    const void *config;
    size_t config_len;
    const struct berth_open_options *options; /* or NULL */
    const struct request_options *create;     /* NULL: the context has no instance, and serves at once */
};

/* What can be told before anybody is asked. 0, or a berth_ret. */
int opens_check(const struct opening *opening);
/* Makes the context and writes its first frame; nobody knows of it yet. 0 with a reference, and the request that
 * creates, or a berth_ret with its reason. */
int opens_make(struct client *client, const struct opening *opening, struct context **out, struct request **request,
               const char **why);
/* Text for a refusal by the functions above. */
const char *opens_refusal_text(int ret);

#endif
