#include "connection/disconnect.h"

#include "base/own_thread.h"

static int disconnect(struct client *client, uint64_t handle) {
    if (own_thread_is_current())
        return BERTH_RET_BUSY;
    if (!handle_end(&berth_clients, handle))
        return BERTH_RET_INVALID_CTX;
    if (!connection_close(client))
        return BERTH_RET_BUSY;
    client_release(client); /* the owner's */
    return BERTH_RET_OK;
}

int berth_disconnect(berth_client handle) {
    int cancel_state;
    struct client *client = client_acquire(handle);
    if (!client)
        return handle_refusal(&berth_clients, handle.bits);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state); /* it joins threads */
    int ret = disconnect(client, handle.bits);
    client_release(client);
    pthread_setcancelstate(cancel_state, NULL);
    return ret;
}
