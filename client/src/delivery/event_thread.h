/* The thread that runs callbacks of berth_listen: events and notices. */
#ifndef BERTH_EVENT_THREAD_H
#define BERTH_EVENT_THREAD_H

#include "delivery/delivery.h"

/* 0, or why there can be none: -ESRCH, or an errno. */
int event_thread_need(struct delivery *delivery);

#endif
