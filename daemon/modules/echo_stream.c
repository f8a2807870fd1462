/* Requests that send DATA before their answer, each from a thread of its own, as the worker lets it wait for the host.
 * Those that are done are joined with the next one's beginning, or at the end: by then the worker has cut them off. */
#include "echo.h"
#include "cbor_args.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    struct stream *next;
    pthread_t thread;
    atomic_bool done;
    berth_request request;
    uint64_t count;
    size_t bytes;
    unsigned char payload[];
};

static void fail(berth_request request, const char *text) { echo_worker->reply(request, 1, text, strlen(text)); }

static void put_index(unsigned char *payload, size_t bytes, uint64_t index) {
    for (size_t i = 0; i < 4 && bytes >= 4; i++)
        payload[i] = (unsigned char)(index >> 8 * (3 - i));
}

static void *run(void *argument) {
    struct stream *stream = argument;
    unsigned char reply[16];
    uint64_t sent = 0;
    int rc = 0;
    while (rc == 0 && sent < stream->count) {
        put_index(stream->payload, stream->bytes, sent);
        rc = echo_worker->data(stream->request, stream->payload, stream->bytes);
        sent += rc == 0;
    }
    if (rc == 0)
        echo_worker->reply(stream->request, 0, reply, cbor_encode_uint(sent, reply, sizeof reply));
    else
        fail(stream->request, rc == 1 ? "stream: the host is too old for it" : ECHO_CANCELLED);
    atomic_store(&stream->done, true);
    return NULL;
}

static void join_done(struct stream **at, bool all) {
    while (*at) {
        struct stream *stream = *at;
        if (!all && !atomic_load(&stream->done)) {
            at = &stream->next;
            continue;
        }
        *at = stream->next;
        pthread_join(stream->thread, NULL);
        free(stream);
    }
}

bool echo_stream_begin(struct echo_streams *streams, berth_request request, uint64_t count, size_t bytes) {
    join_done(&streams->first, false);
    struct stream *stream = calloc(1, sizeof *stream + bytes + 1);
    if (!stream)
        return false;
    stream->request = request;
    stream->count = count;
    stream->bytes = bytes;
    if (pthread_create(&stream->thread, NULL, run, stream) != 0) {
        free(stream);
        return false;
    }
    stream->next = streams->first;
    streams->first = stream;
    return true;
}

void echo_streams_end(struct echo_streams *streams) { join_done(&streams->first, true); }
