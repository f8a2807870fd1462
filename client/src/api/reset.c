#include <string.h>

#include "base/reply.h"
#include "connection/questions.h"
#include "utf8.h"

#define NAME_MOST 64 /* bytes of a module's name */

static int reset(berth_client client, const char *module, struct berth_reply *reply) {
    struct berth_control_message message;
    size_t len = module ? strlen(module) : 0;
    if (len == 0 || len > NAME_MOST || !berth_utf8_valid((const uint8_t *)module, len))
        return reply_text(reply, BERTH_RET_INVALID_ARGUMENT, "a module's name has 1 to 64 bytes of UTF-8");
    berth_control_init(&message, BERTH_MSG_RESET);
    berth_control_set_text(&message, BERTH_KEY_MODULE, module, len);
    return question_ask_by(client, &message, reply);
}

int berth_reset(berth_client client, const char *module, struct berth_reply *reply) {
    struct berth_reply nobodys;
    struct berth_reply *to = reply ? reply : &nobodys;
    memset(to, 0, sizeof *to);
    int ret = reset(client, module, to);
    if (!reply)
        reply_free(&nobodys);
    return ret;
}
