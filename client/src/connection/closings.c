#include "connection/closings.h"

#include <errno.h>
#include <stdlib.h>

#include "connection/client.h"

static int say(struct client *client, uint64_t connection, uint64_t context, uint32_t timeout_ms) {
    struct berth_control_message message;
    berth_control_init(&message, BERTH_MSG_CLOSING);
    berth_control_set_uint(&message, BERTH_KEY_CONTEXT, context);
    berth_control_set_uint(&message, BERTH_KEY_TIMEOUT_MS, timeout_ms);
    return client_send_on(client, connection, &message, NULL, 0);
}

static void keep(struct client *client, struct unsaid_closing *unsaid) {
    pthread_mutex_lock(&client->lock);
    unsaid->next = client->unsaid;
    client->unsaid = unsaid;
    pthread_mutex_unlock(&client->lock);
}

static struct unsaid_closing *take(struct client *client) {
    pthread_mutex_lock(&client->lock);
    struct unsaid_closing *unsaid = client->unsaid;
    if (unsaid)
        client->unsaid = unsaid->next;
    pthread_mutex_unlock(&client->lock);
    return unsaid;
}

void closings_say(struct client *client, uint64_t connection, uint64_t context, uint32_t timeout_ms) {
    if (say(client, connection, context, timeout_ms) != -EAGAIN)
        return;
    struct unsaid_closing *unsaid = malloc(sizeof *unsaid);
    if (!unsaid)
        return; /* the worker has a clock of its own */
    *unsaid = (struct unsaid_closing){NULL, connection, context, timeout_ms};
    keep(client, unsaid);
    alarm_ring(&client->alarm);
}

/* Those of a connection that is gone are nobody's business any more. */
uint64_t closings_say_again(struct client *client, uint64_t now) {
    for (struct unsaid_closing *unsaid; (unsaid = take(client));) {
        if (say(client, unsaid->connection, unsaid->context, unsaid->timeout_ms) == -EAGAIN) {
            keep(client, unsaid);
            return now + CLIENT_SEND_AGAIN_NS;
        }
        free(unsaid);
    }
    return 0;
}
