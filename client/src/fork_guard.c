#include "fork_guard.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

const uint32_t *berth_fork_page;
static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;

int fork_guard_init(void) {
    int rc = 0;
    pthread_mutex_lock(&once);
    if (!berth_fork_page) {
        uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED || madvise(page, 4096, MADV_WIPEONFORK) != 0) {
            rc = -errno;
        } else {
            *page = 1;
            __atomic_store_n(&berth_fork_page, page, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&once);
    return rc;
}
