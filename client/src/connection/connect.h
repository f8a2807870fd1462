/* Finds a supervisor, or starts one, and shakes hands. */
#ifndef BERTH_CONNECT_H
#define BERTH_CONNECT_H

#include "connection/client.h"

/* 0 with a client whose control thread runs, or a berth_ret with the reason in `why`: path and cause. */
int connection_open(const struct berth_options *options, struct client **out, char *why, size_t why_size);

#endif
