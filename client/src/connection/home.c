#include "connection/home.h"

#include <sys/epoll.h>

#include "base/raw_io.h"
#include "connection/asks.h"
#include "connection/closings.h"
#include "connection/supervisor_says.h"
#include "kill_point.h"

/* Once: where a close meets OPENED, both its thread and the control thread come here. The supervisor takes a second
 * word of a context that has ended by then for one of a context that is not ours, and drops the connection. */
static void say_closing(struct context *context) {
    struct seat *seat = &context->seat;
    pthread_mutex_lock(&context->channel.submit_lock);
    uint64_t id = seat->id, connection = seat->known_on;
    int said = seat->closing_said_on == connection;
    seat->closing_said_on = connection;
    uint32_t ms = lease_close_ms(&context->lease);
    pthread_mutex_unlock(&context->channel.submit_lock);
    if (!said) {
        closings_say(context->client, connection, id, ms);
        BERTH_KILL_POINT("host.closing_sent");
    }
}

static void say_later(struct context *context) {
    struct seat *seat = &context->seat;
    struct client *client = context->client;
    if (seat->closing_said_on == seat->known_on)
        return;
    seat->closing_said_on = seat->known_on;
    pthread_mutex_lock(&client->lock);
    client->just_closed = seat->id;
    client->just_closed_on = seat->known_on;
    pthread_mutex_unlock(&client->lock);
}

/* Taken out before it is closed: the supervisor has the same file open, and what epoll knows of it would stay. */
static void unwatch_worker(struct context *context) {
    client_unwatch(context->client, context->channel.wake.poll_fd);
    if (context->lease.worker_pidfd < 0)
        return;
    client_unwatch(context->client, context->lease.worker_pidfd);
    raw_close(context->lease.worker_pidfd);
    context->lease.worker_pidfd = -1;
}

/* By edges: the descriptor is its poller's to empty. */
static void read_for(struct context *context) {
    client_watch(context->client, context->channel.wake.poll_fd, EPOLLIN | EPOLLET, context->handle | CLIENT_TAG_READ);
}

static void worker_died(struct context *context) { supervisor_says_died(context, NULL); }
static int has_no_supervisor(struct context *context) { return client_is_disconnected(context->client); }

const struct context_home connection_home = {.ask_for_worker = asks_again,
                                             .say_closing = say_closing,
                                             .say_later = say_later,
                                             .unwatch_worker = unwatch_worker,
                                             .read_for = read_for,
                                             .worker_died = worker_died,
                                             .has_no_supervisor = has_no_supervisor,
                                             .release = client_release};
