/* What the supervisor keeps of crashed workers, and how a module gets out of quarantine. */
#include <string.h>

#include "client.h"
#include "context.h"
#include "fork_guard.h"

#define NAME_MOST 64 /* bytes of a module's name */

static int ask(berth_client handle, struct berth_control_message *message, struct berth_reply *reply) {
    struct client *client = client_acquire(handle);
    if (!client)
        return reply_text(reply, fork_guard_is_child() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX, "no such client");
    int ret = control_thread_ask(client, message, reply);
    client_release(client);
    return ret;
}

int berth_crashes(berth_client client, struct berth_reply *reply) {
    struct berth_control_message message;
    if (!reply)
        return BERTH_RET_INVALID_ARGUMENT;
    memset(reply, 0, sizeof *reply);
    berth_control_init(&message, BERTH_MSG_CRASHES);
    return ask(client, &message, reply);
}

int berth_reset(berth_client client, const char *module, struct berth_reply *reply) {
    struct berth_control_message message;
    struct berth_reply nobodys;
    if (!reply)
        reply = &nobodys;
    memset(reply, 0, sizeof *reply);
    size_t len = module ? strlen(module) : 0;
    if (len == 0 || len > NAME_MOST)
        return reply_text(reply, BERTH_RET_INVALID_ARGUMENT, "a module's name has 1 to 64 bytes");
    berth_control_init(&message, BERTH_MSG_RESET);
    berth_control_set_text(&message, BERTH_KEY_MODULE, module, len);
    int ret = ask(client, &message, reply);
    if (reply == &nobodys)
        berth_reply_free(reply);
    return ret;
}
