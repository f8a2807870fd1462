/* Some hosts read an answer after its callback has returned. For them each is copied, and the last ones are kept: as
 * many as 256, and, beyond the last eight, not more than 16 MiB of them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

#define KEPT_MOST 256u
#define KEPT_LEAST 8u
#define KEPT_BYTES ((size_t)16 << 20)

struct kept {
    uint8_t *data;
    size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept ring[KEPT_MOST];
static uint32_t oldest, count;
static size_t bytes;

static void drop_oldest(void) {
    struct kept *kept = &ring[oldest];
    bytes -= kept->len;
    free(kept->data);
    oldest = (oldest + 1) % KEPT_MOST;
    count--;
}

const uint8_t *stub_keep(const uint8_t *data, size_t len) {
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return data;
    if (len)
        memcpy(copy, data, len);
    copy[len] = 0;
    pthread_mutex_lock(&lock);
    while (count == KEPT_MOST || (count >= KEPT_LEAST && bytes + len > KEPT_BYTES))
        drop_oldest();
    ring[(oldest + count++) % KEPT_MOST] = (struct kept){copy, len};
    bytes += len;
    pthread_mutex_unlock(&lock);
    return copy;
}
