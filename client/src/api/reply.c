#include "base/reply.h"

void berth_reply_free(struct berth_reply *reply) { reply_free(reply); }
