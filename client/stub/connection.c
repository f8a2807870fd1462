#include <pthread.h>
#include <stdlib.h>

#include "stub.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stub_connection *current, *stale;

/* berth answers FORKED to a child that has not connected, which a stub's never does, whatever the handle; and it knows it
 * without a lock or a system call. */
int stub_forked(void) { return berth_poll_fd((berth_context){0}) == -BERTH_RET_FORKED; }

/* The first stale connection without users, taken off the list. With the lock. */
static struct stub_connection *unused(void) {
    for (struct stub_connection **at = &stale; *at; at = &(*at)->next) {
        struct stub_connection *connection = *at;
        if (connection->users == 0) {
            *at = connection->next;
            return connection;
        }
    }
    return NULL;
}

/* berth_disconnect cannot be called inside a callback, so it waits for somebody who is not. */
static void end_unused(void) {
    struct stub_connection *connection;
    while (!stub_inside_callback() && (connection = unused())) {
        pthread_mutex_unlock(&lock);
        berth_disconnect(connection->client);
        free(connection);
        pthread_mutex_lock(&lock);
    }
}

static int connect_once(struct berth_reply *why) {
    struct berth_options options = {.size = sizeof options, .module_dir = berth_stub_library.module_dir, .why = why};
    struct stub_connection *connection = calloc(1, sizeof *connection);
    int ret = connection ? berth_connect(&options, &connection->client) : BERTH_RET_EXHAUSTED;
    if (ret == BERTH_RET_OK) {
        berth_reply_free(why);
        current = connection;
    } else {
        free(connection);
    }
    return ret;
}

int stub_connection_take(struct stub_connection **out, struct berth_reply *why) {
    int ret = BERTH_RET_OK;
    *why = (struct berth_reply){0};
    pthread_mutex_lock(&lock);
    if (stale)
        end_unused();
    if (!current)
        ret = connect_once(why);
    if (ret == BERTH_RET_OK) {
        current->users++;
        *out = current;
    }
    pthread_mutex_unlock(&lock);
    return ret;
}

void stub_connection_give(struct stub_connection *connection) {
    pthread_mutex_lock(&lock);
    connection->users--;
    pthread_mutex_unlock(&lock);
}

void stub_connection_lost(struct stub_connection *connection) {
    pthread_mutex_lock(&lock);
    if (!connection->stale) {
        connection->stale = 1;
        connection->next = stale;
        stale = connection;
        current = NULL;
    }
    pthread_mutex_unlock(&lock);
}
