/* Who listens for what. */
#ifndef BERTH_LISTENERS_H
#define BERTH_LISTENERS_H

#include "delivery/delivery.h"

/* 0, or the berth_ret that refuses. With a callback the event thread is there already. */
int listeners_add(struct delivery *delivery, const char *event, berth_callback callback, void *user_data,
                  uint64_t *out_listener);
/* Waits for the end of its callback, but on the event thread. 1: there was one. */
int listeners_remove(struct delivery *delivery, uint64_t id);
void listeners_deinit(struct listeners *listeners);

/* The first listener of that name with an id over out->id and up to *last, copied to *out. *last is 0 at first: one
 * that is added while the event is on its way through the listeners, maybe because of it, does not get it. One with a
 * callback counts as running until listener_ran. 0: there is none. */
int listeners_next(struct delivery *delivery, const uint8_t *name, size_t name_len, uint64_t *last,
                   struct listener *out);
void listener_ran(struct delivery *delivery);
/* Runs a listener's callback, unless it has been removed meanwhile. Event thread. */
void listener_run(struct delivery *delivery, uint64_t id, const uint8_t *data, size_t len);
/* Tells the worker whether anybody listens. */
void listeners_tell_worker(struct delivery *delivery);

#endif
