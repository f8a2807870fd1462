/* What a context says of itself: events by berth's own names, for listeners like any other. They do not pass the event
 * ring, so they come also when the worker is stuck, stopped or dead. */
#ifndef BERTH_NOTICES_H
#define BERTH_NOTICES_H

#include "delivery/delivery.h"

/* To every listener of the name; never waits, runs no host code. */
void notice(struct delivery *delivery, const char *name, const uint8_t *data, size_t len);
void notice_count(struct delivery *delivery, const char *name, const char *key, uint64_t number);
/* not_responding, and why. */
void notice_cause(struct delivery *delivery, const char *cause, uint64_t ms);
int notices_run(struct delivery *delivery); /* event thread; how many */

#endif
