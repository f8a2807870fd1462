#include "connection/disconnect.h"

#include <signal.h>

#include "base/raw_io.h"
#include "connection/control_thread.h"

#define QUIET_NS 30000000000u
#define SUPERVISOR_END_NS 20000000000u
#define STAND_IN_END_MS 200u /* after the supervisor */
#define BLIND_END_MS 5000u   /* where no pidfd tells of its end */

/* One that this step has not had yet, with a reference; NULL: none. Looked for from the front each time: contexts end
 * meanwhile, and the control thread takes them, and their neighbours, off the list. */
static struct context *next_for(struct client *client, uint32_t step) {
    pthread_mutex_lock(&client->lock);
    struct context *context = client->contexts;
    while (context && context->seat.disconnecting >= step)
        context = context->seat.next;
    if (context) {
        context->seat.disconnecting = step;
        context_retain(context);
    }
    pthread_mutex_unlock(&client->lock);
    return context;
}

/* All are told first and waited for then: busy ones take their time side by side. 1: there were any. */
static int close_all(struct client *client) {
    int any = 0;
    for (struct context *context; (context = next_for(client, 1)); context_release(context))
        if (context_begin_close(context, NULL, NULL) == 0 && !verdict_is_settled(&context->channel.verdict))
            due_arm(&context->due, bound_at(&context->lease.bounds, BOUND_QUICK));
    for (struct context *context; (context = next_for(client, 2)); context_release(context)) {
        any = 1;
        context_begin_close(context, NULL, NULL); /* of an open that was under way: not yet */
        context_wait_closed(context);
        context_over(context); /* what is not reaped by now never is */
    }
    return any;
}

/* Contexts come, too, while opens of other threads are under way. */
static int wait_quiet(struct client *client) {
    uint64_t deadline_ns = 0;
    for (;;) {
        uint32_t key = eventcount_key(&client->changed);
        if (close_all(client) || !deadline_ns)
            deadline_ns = berth_now_ns() + QUIET_NS;
        pthread_mutex_lock(&client->lock);
        uint32_t left = client->context_count + client->opens_under_way;
        pthread_mutex_unlock(&client->lock);
        if (!left || clock_passed(deadline_ns))
            return !left;
        eventcount_wait(&client->changed, key, deadline_ns);
    }
}

/* A private supervisor ends with its host's connection; when this returns its processes are gone too. */
static void wait_supervisor(struct client *client) {
    struct pollfd poll = {client->supervisor_pidfd, POLLIN, 0};
    int blind = client->supervisor_pidfd < 0;
    if (client->service.path)
        return;
    raw_syscall(SYS_shutdown, client->socket, SHUT_RDWR, 0, 0, 0);
    if (!blind && raw_poll(&poll, 1, berth_now_ns() + SUPERVISOR_END_NS) == 0)
        raw_syscall(SYS_pidfd_send_signal, client->supervisor_pidfd, SIGKILL, 0, 0, 0);
    private_supervisor_reap(&client->own_supervisor, blind ? BLIND_END_MS : STAND_IN_END_MS);
}

int connection_close(struct client *client) {
    pthread_mutex_lock(&client->lock);
    client->closing = 1;
    pthread_mutex_unlock(&client->lock);
    if (!wait_quiet(client))
        return 0;
    control_thread_stop(client);
    callback_pool_stop(&client->callback_pool);
    wait_supervisor(client);
    return 1;
}
