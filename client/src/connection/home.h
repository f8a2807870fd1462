/* What a connection does for the contexts that were opened through it. */
#ifndef BERTH_HOME_H
#define BERTH_HOME_H

#include "context/context.h"

extern const struct context_home connection_home;

#endif
