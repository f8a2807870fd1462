/* How a holder of the baton lets it go, and what a verdict leads to. */
#ifndef BERTH_SETTLE_H
#define BERTH_SETTLE_H

#include "channel/channel.h"

/* Lets the baton go. An open verdict is settled first: what the worker still managed to say is read, at most what one
 * ring holds, and everything else in flight is answered with the verdict, once. Then the next waiter is called. */
void channel_leave(struct channel *channel);
/* For a thread that has given a verdict and holds no baton: sees to it that somebody settles it. */
void channel_settle_now(struct channel *channel);

#endif
