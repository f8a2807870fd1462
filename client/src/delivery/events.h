/* The module's events, from their ring to who listens. */
#ifndef BERTH_EVENTS_H
#define BERTH_EVENTS_H

#include "delivery/delivery.h"

/* Takes the next event to its listeners' callbacks; for those of berth_reap it is queued. 1 took one, 0 none. Event
 * thread. */
int events_take(struct delivery *delivery);
/* The listeners for which the last batch had no room have their event. 1: all of them. The thread in berth_reap. */
int events_tell_the_others(struct delivery *delivery, struct reap_sink *sink);
/* Takes the next event into the sink. With the event lock. 1 took one, 0 none or no room. */
int events_gather(struct delivery *delivery, struct reap_sink *sink);

#endif
