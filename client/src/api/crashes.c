#include <string.h>

#include "connection/questions.h"

int berth_crashes(berth_client client, struct berth_reply *reply) {
    struct berth_control_message message;
    if (!reply)
        return BERTH_RET_INVALID_ARGUMENT;
    memset(reply, 0, sizeof *reply);
    berth_control_init(&message, BERTH_MSG_CRASHES);
    return question_ask_by(client, &message, reply);
}
