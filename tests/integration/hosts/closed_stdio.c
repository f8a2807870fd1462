/* A host without stdin, stdout and stderr that goes on printing: none of our descriptors comes to stand there, received
 * ones included, and so the prints hit nothing. */
#include <fcntl.h>

#include "host_case.h"

static void check_still_closed(const char *when) {
    for (int fd = 0; fd < 3; fd++)
        check_so(when, fcntl(fd, F_GETFD) == -1);
}

static void print_a_lot(void) {
    static const char line[] = "a line of the host's\n";
    char in[64];
    for (int i = 0; i < 50; i++)
        if (write(1, line, sizeof line - 1) >= 0 || write(2, line, sizeof line - 1) >= 0 || read(0, in, sizeof in) >= 0)
            check_so("a closed descriptor cannot be used", 0);
}

static void session(void) {
    struct berth_reply reply;
    berth_context context, others[3];
    berth_client client = connect_private();
    check_still_closed("0 to 2 are closed after connect");
    print_a_lot();
    context = open_echo(client);
    check_still_closed("0 to 2 are closed after open");
    print_a_lot();
    check_so("poll fd", berth_poll_fd(context) > 2);
    for (int i = 0; i < 3; i++)
        others[i] = open_echo(client);
    check_equal("status", berth_status(client, &reply), BERTH_RET_OK); /* comes with a descriptor */
    berth_reply_free(&reply);
    print_a_lot();
    check_equal("call", call_echo(context), BERTH_RET_OK);
    for (int i = 0; i < 3; i++)
        check_equal("call", call_echo(others[i]), BERTH_RET_OK);
    check_still_closed("0 to 2 are closed in the end");
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
    check_still_closed("0 to 2 are closed after disconnect");
}

int main(void) {
    case_out = fcntl(1, F_DUPFD, 20);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    session();
    session();
    return case_result();
}
