/* Fills a host's struct berth_reply. */
#ifndef BERTH_REPLY_H
#define BERTH_REPLY_H

#include "berth/berth.h"

/* `data` is copied. Where there is no memory for it the answer becomes ERR with a text that says so. */
void reply_set(struct berth_reply *reply, int ret, const void *data, size_t len);
/* reply NULL: nobody wants it. Returns ret. */
int reply_text(struct berth_reply *reply, int ret, const char *text);
void reply_free(struct berth_reply *reply);

#endif
