/* What Go calls instead of berth.h itself: integers and flat structs, so that no Go pointer is ever kept by C, none is
 * called back, and nothing that Go's collector looks at holds a value that only looks like a pointer. */
#ifndef BERTH_GO_BRIDGE_H
#define BERTH_GO_BRIDGE_H
#include <berth/berth.h>

/* An answer. What did not fit where the caller wanted it stands in a block: bg_take. */
struct bg_answer {
    uint64_t id;
    uint64_t len;
    uintptr_t block;
};

/* What berth_open_submit or berth_close came to. `fd` is an eventfd, readable when the rest is there; Go closes it. */
struct bg_verdict {
    int32_t fd;
    int32_t ret;
    uint64_t len;
    uint8_t *data;
};

/* One completion. `data` is berth's until the next bg_reap. */
struct bg_item {
    uint64_t id;
    uint64_t ticket;
    uint32_t kind;
    int32_t ret;
    const uint8_t *data;
    uint64_t len;
};

enum { BG_BATCH = 256 };

/* `why` gets the text of a failure. */
int bg_connect(uint32_t flags, const char *socket_path, uint32_t socket_owner, const char *module_dir,
               uint64_t *client, struct bg_answer *why);
int bg_disconnect(uint64_t client);
int bg_status(uint64_t client, struct bg_answer *answer);
int bg_call_static(uint64_t client, const char *module, const char *method, const uint8_t *request, size_t len,
                   int timeout_ms, struct bg_answer *answer);

struct bg_verdict *bg_verdict_new(void);
void bg_verdict_free(struct bg_verdict *verdict);
int bg_open(uint64_t client, const char *module, const uint8_t *config, size_t len, uint32_t max_in_flight,
            uint32_t stale_warn_ms, uint32_t open_timeout_ms, struct bg_verdict *verdict, uint64_t *context);
int bg_close(uint64_t context, struct bg_verdict *verdict);

int bg_method(uint64_t context, const char *name, uint32_t *method);
/* berth_try_call with `ticket` as user_data. An answer of `room_len` bytes at most is copied to `room`. */
int bg_call(uint64_t context, uint32_t method, const uint8_t *request, size_t len, uint32_t wait_us, uint64_t ticket,
            uint8_t *room, size_t room_len, struct bg_answer *answer);
/* Copies a block to `to` (NULL: nowhere) and gives it back. */
void bg_take(uintptr_t block, uint8_t *to);
int bg_cancel(uint64_t context, uint64_t id);

int bg_listen(uint64_t context, const char *event, uint64_t ticket, uint64_t *listener);
int bg_unlisten(uint64_t context, uint64_t listener);

/* A descriptor of one's own for berth_poll_fd's; or a negative code. */
int bg_poll_fd(uint64_t context);
/* Room for BG_BATCH items; free() it. NULL: no memory. */
struct bg_item *bg_batch_new(void);
void bg_batch_free(struct bg_item *batch);
/* Takes what is there and does not wait, by berth_reap; with `look` by its BERTH_LOOK. */
int bg_reap(uint64_t context, struct bg_item *batch, int look);
#endif
