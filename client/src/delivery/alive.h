/* Looks whether the worker gets on, while something is owed and somebody wants to know: the edge of liveness.h. */
#ifndef BERTH_ALIVE_H
#define BERTH_ALIVE_H

#include "delivery/delivery.h"

/* Returns when to look again, 0: when something is owed again. Control thread; the context is open and serves. */
uint64_t alive_look(struct delivery *delivery, uint32_t worker_pid, uint64_t now);

#endif
