/* The handles of contexts. */
#include "base/fork_guard.h"
#include "context/context.h"

struct handle_table berth_contexts = HANDLE_TABLE_INIT;

struct context *context_acquire(berth_context handle, int *why) {
    struct context *context = fork_guard_is_child() ? NULL : handle_acquire(&berth_contexts, handle.bits);
    *why = context ? BERTH_RET_OK : handle_refusal(&berth_contexts, handle.bits);
    return context;
}

void context_retain(struct context *context) { handle_retain(&berth_contexts, context->handle); }
