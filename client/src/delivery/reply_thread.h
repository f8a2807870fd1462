/* The thread that runs callbacks of answers. While any is owed it takes its turns with the baton. */
#ifndef BERTH_REPLY_THREAD_H
#define BERTH_REPLY_THREAD_H

#include "delivery/delivery.h"

/* 0, or why there can be none: -ESRCH, or an errno. */
int reply_thread_need(struct delivery *delivery);

#endif
