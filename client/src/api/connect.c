#include <string.h>

#include "base/fork_guard.h"
#include "base/reply.h"
#include "connection/connect.h"

#define WHY_BYTES 1024

/* In a forked child: what its parent had is gone with the parent's threads. */
static void begin_anew(void) {
    handle_table_renew(&berth_clients);
    handle_table_renew(&berth_contexts);
}

static int connect_by(const struct berth_options *options, berth_client *out, char *why, size_t why_size) {
    struct client *client;
    int ret = BERTH_RET_EXHAUSTED;
    if (fork_guard_init(begin_anew) == 0)
        ret = connection_open(options, &client, why, why_size);
    else
        strcpy(why, "no memory, or a kernel before 4.14");
    out->bits = ret == BERTH_RET_OK ? client->handle : 0;
    return ret;
}

static int flags_can_be(uint32_t flags) { return flags <= BERTH_NO_PRIVATE; }

int berth_connect(const struct berth_options *given, berth_client *out) {
    struct berth_options options = {.size = sizeof options};
    char why[WHY_BYTES] = "an argument cannot be";
    int saved = errno, ret = BERTH_RET_INVALID_ARGUMENT;
    if (out)
        out->bits = 0;
    if (given && given->size == sizeof *given)
        options = *given;
    if (options.why)
        memset(options.why, 0, sizeof *options.why);
    if (out && (!given || given->size == sizeof *given) && flags_can_be(options.flags))
        ret = connect_by(&options, out, why, sizeof why);
    if (options.why && ret == BERTH_RET_OK)
        reply_set(options.why, ret, "\xf6", 1);
    else if (options.why)
        reply_text(options.why, ret, why);
    errno = saved;
    return ret;
}
