#include "channel/reap_sink.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BATCH ((size_t)256 << 10)

static int arena_room(struct reap_sink *sink, size_t len) {
    size_t need = sink->arena_used + len;
    if (need <= sink->arena->size)
        return 1;
    if (need > ARENA_BATCH && sink->arena_used)
        return 0; /* the batch is large enough; this one heads the next */
    size_t size = need > ARENA_BATCH ? need : ARENA_BATCH;
    uint8_t *arena = realloc(sink->arena->bytes, size);
    if (!arena)
        return 0;
    sink->arena->bytes = arena;
    sink->arena->size = size;
    return 1;
}

int reap_sink_copy(struct reap_sink *sink, const void *data, size_t len, size_t *offset) {
    if (!arena_room(sink, len))
        return 0;
    if (len)
        memcpy(sink->arena->bytes + sink->arena_used, data, len);
    *offset = sink->arena_used;
    sink->arena_used += (len + 15) & ~(size_t)15;
    if (sink->arena_used > sink->arena->size)
        sink->arena_used = sink->arena->size;
    return 1;
}

int reap_sink_add(struct reap_sink *sink, uint32_t kind, uint64_t id, int32_t ret, void *user_data, size_t offset,
                  size_t len) {
    if (sink->count == sink->capacity)
        return 0;
    sink->out[sink->count++] =
        (struct berth_completion){id, kind, ret, (const uint8_t *)(uintptr_t)offset, len, user_data};
    sink->data_count += kind == BERTH_DATA;
    return 1;
}

int reap_sink_put(struct reap_sink *sink, uint32_t kind, uint64_t id, int32_t ret, void *user_data, const void *data,
                  size_t len) {
    size_t offset;
    return sink->count < sink->capacity && reap_sink_copy(sink, data, len, &offset) &&
           reap_sink_add(sink, kind, id, ret, user_data, offset, len);
}

void reap_sink_seal(struct reap_sink *sink) {
    for (size_t i = sink->direct_from; i < sink->count; i++)
        sink->out[i].data = sink->arena->bytes + (uintptr_t)sink->out[i].data;
}
