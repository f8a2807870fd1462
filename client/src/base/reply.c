#include <stdlib.h>
#include <string.h>

#include "base/reply.h"
#include "status.h"

/* Small answers stand in the reply itself; large ones in a block of their own. One large block is kept for the next
 * reply, so that a stream of large answers does not fault its pages in anew each time. */
static struct {
    uint64_t size;
    uint8_t *block;
} spare;

#define INLINE_MOST (sizeof((struct berth_reply *)0)->private_words - 2 * sizeof(uint64_t))
#define SPARE_LEAST ((size_t)32 << 10)

static uint8_t *take_block(size_t len, uint64_t *size) {
    uint8_t *block = len >= SPARE_LEAST ? __atomic_exchange_n(&spare.block, NULL, __ATOMIC_ACQ_REL) : NULL;
    if (block) {
        uint64_t have;
        memcpy(&have, block, sizeof have);
        if (have >= len) {
            *size = have;
            return block;
        }
        free(block);
    }
    /* The block's size heads it, 64 bytes before the data. */
    block = malloc(len + 64);
    *size = len;
    if (block) {
        uint64_t have = len;
        memcpy(block, &have, sizeof have);
    }
    return block;
}

void reply_set(struct berth_reply *reply, int ret, const void *data, size_t len) {
    uint8_t *to = (uint8_t *)&reply->private_words[2];
    reply->ret = ret;
    reply->private_words[0] = 0;
    if (len > INLINE_MOST) {
        uint64_t size;
        uint8_t *block = take_block(len, &size);
        if (!block) {
            reply_text(reply, BERTH_RET_ERR, "no memory for the answer");
            return;
        }
        reply->private_words[0] = (uint64_t)(uintptr_t)block;
        to = block + 64;
    }
    if (len)
        memcpy(to, data, len);
    reply->data = to;
    reply->len = len;
}

int reply_text(struct berth_reply *reply, int ret, const char *text) {
    if (reply)
        reply_set(reply, ret, text, strlen(text));
    return ret;
}

void reply_free(struct berth_reply *reply) {
    if (!reply)
        return;
    uint8_t *block = (uint8_t *)(uintptr_t)reply->private_words[0];
    if (block) {
        uint64_t size;
        memcpy(&size, block, sizeof size);
        if (size >= SPARE_LEAST)
            block = __atomic_exchange_n(&spare.block, block, __ATOMIC_ACQ_REL);
        free(block);
    }
    reply->private_words[0] = 0;
    reply->data = NULL;
    reply->len = 0;
}
