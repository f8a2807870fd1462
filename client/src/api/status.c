#include <string.h>

#include "base/reply.h"
#include "connection/questions.h"

int berth_status(berth_client handle, struct berth_reply *reply) {
    struct berth_control_message message;
    if (!reply)
        return BERTH_RET_INVALID_ARGUMENT;
    memset(reply, 0, sizeof *reply);
    struct client *client = client_acquire(handle);
    if (!client)
        return reply_text(reply, handle_refusal(&berth_clients, handle.bits), "no such client");
    berth_control_init(&message, BERTH_MSG_STATUS);
    pthread_mutex_lock(&client->status_lock);
    int ret = question_ask(client, &message, reply);
    pthread_mutex_unlock(&client->status_lock);
    client_release(client);
    return ret;
}
