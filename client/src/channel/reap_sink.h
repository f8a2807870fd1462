/* Where berth_reap gathers a batch: payloads are copied to an arena, which lives until the next berth_reap. While it
 * gathers, `data` of a completion is an offset into the arena, which may move. */
#ifndef BERTH_REAP_SINK_H
#define BERTH_REAP_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "berth/berth.h"

struct reap_arena {
    uint8_t *bytes;
    size_t size;
};

struct reap_sink {
    struct berth_completion *out;
    size_t capacity, count;
    struct reap_arena *arena;
    size_t arena_used;
    size_t direct_from;  /* completions before this one point at queued memory instead */
    uint32_t data_count; /* completions that give credit back */
};

/* Copies bytes that several completions may share. *offset is where. 0: no room in this batch, or no memory. */
int reap_sink_copy(struct reap_sink *sink, const void *data, size_t len, size_t *offset);
/* One whose bytes are in the arena already. 0: no room. */
int reap_sink_add(struct reap_sink *sink, uint32_t kind, uint64_t id, int32_t ret, void *user_data, size_t offset,
                  size_t len);
/* Both. 1 when the sink took it, 0 when it has no room now. */
int reap_sink_put(struct reap_sink *sink, uint32_t kind, uint64_t id, int32_t ret, void *user_data, const void *data,
                  size_t len);
/* Bytes that no completion came to need make room again: a mark from before they were copied. */
struct reap_mark {
    size_t count, arena_used;
};
static inline struct reap_mark reap_sink_mark(const struct reap_sink *sink) {
    return (struct reap_mark){sink->count, sink->arena_used};
}
static inline void reap_sink_forget(struct reap_sink *sink, struct reap_mark mark) {
    if (sink->count == mark.count)
        sink->arena_used = mark.arena_used;
}
/* The batch is complete: offsets become pointers. */
void reap_sink_seal(struct reap_sink *sink);

#endif
