#include "connection/supervisor_wait.h"

void supervisor_want(struct client *client) {
    if (!client->service.path)
        return;
    __atomic_store_n(&client->reattach.due_ns, 1, __ATOMIC_SEQ_CST);
    alarm_ring(&client->alarm);
}

int supervisor_wait(struct client *client, uint32_t ms) {
    if (!client->service.path || !client_is_disconnected(client))
        return !client_is_disconnected(client);
    uint64_t deadline_ns = berth_now_ns() + (uint64_t)ms * 1000000u;
    __atomic_fetch_add(&client->reattach.wanted, 1, __ATOMIC_SEQ_CST);
    supervisor_want(client);
    for (;;) {
        uint32_t key = eventcount_key(&client->changed);
        if (!client_is_disconnected(client) || clock_passed(deadline_ns))
            break;
        eventcount_wait(&client->changed, key, deadline_ns);
    }
    __atomic_fetch_sub(&client->reattach.wanted, 1, __ATOMIC_SEQ_CST);
    return !client_is_disconnected(client);
}
