#include "channel/verdict.h"

#include <stdlib.h>
#include <string.h>

int verdict_give(struct verdict *verdict, uint32_t ret, const void *data, size_t len, int passing) {
    if (verdict_is_given(verdict))
        return 0;
    verdict->data = malloc(len + 1);
    if (verdict->data && len)
        memcpy(verdict->data, data, len);
    verdict->len = verdict->data ? len : 0;
    __atomic_store_n(&verdict->ret, ret, __ATOMIC_RELEASE);
    __atomic_store_n(&verdict->passing, (uint32_t)passing, __ATOMIC_SEQ_CST);
    __atomic_store_n(&verdict->given, 1, __ATOMIC_SEQ_CST);
    return 1;
}

void verdict_take_back(struct verdict *verdict) {
    verdict_deinit(verdict);
    __atomic_store_n(&verdict->ret, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&verdict->settled, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&verdict->given, 0, __ATOMIC_SEQ_CST); /* still passing: see verdict_is_final */
}

void verdict_deinit(struct verdict *verdict) {
    free(verdict->data);
    verdict->data = NULL;
    verdict->len = 0;
}
