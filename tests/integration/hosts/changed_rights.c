/* Servers connect as root and then drop what they do not need; set-uid programs put on and off what they have. A worker
 * has the rights of its host when it asks, or there is none. Each case is a process of its own: what is dropped is
 * gone. */
#include <grp.h>
#include <sys/wait.h>

#include "host_case.h"

#define NOBODY 65534

static int open_text(berth_client client, char *text, size_t size) {
    struct berth_reply why;
    berth_context context;
    int ret = berth_open(client, "echo", NULL, 0, NULL, &context, &why);
    snprintf(text, size, "%.*s", (int)why.len, (const char *)why.data);
    berth_reply_free(&why);
    return ret;
}

static void drops(void) {
    char text[256];
    berth_client client = connect_private();
    berth_context before = open_echo(client);
    need("drop groups", setgroups(0, NULL));
    need("drop group", setresgid(NOBODY, NOBODY, NOBODY));
    need("drop user", setresuid(NOBODY, NOBODY, NOBODY));
    check_equal("open after the drop", open_text(client, text, sizeof text), BERTH_RET_DENIED);
    check_so(text, strcmp(text, "the host's rights have changed (it connected as uid 0, gid 0, and asks as uid 65534, "
                                "gid 65534): it is to connect again") == 0);
    check_equal("what was open goes on", call_echo(before), BERTH_RET_OK);
    check_equal("close", berth_close(before, NULL, NULL), BERTH_RET_OK);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
}

static void drops_the_group_alone(void) {
    char text[256];
    berth_client client = connect_private();
    need("drop group", setegid(NOBODY));
    check_equal("open after the drop", open_text(client, text, sizeof text), BERTH_RET_DENIED);
    need("take it back", setegid(0));
    berth_context context = open_echo(client);
    check_equal("call", call_echo(context), BERTH_RET_OK);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
}

/* Where a supervisor can be had as nobody: not from a folder of root's own. */
static void gains(void) {
    char text[256];
    berth_client client;
    berth_context context;
    need("put off", seteuid(NOBODY));
    if (try_connect_private(&client) != BERTH_RET_OK) {
        dprintf(case_out, "no supervisor can be started as nobody: not tried\n");
        return;
    }
    if (try_open(client, "echo", &context) == BERTH_RET_OK) {
        need("put on", seteuid(0));
        check_equal("open with more rights", open_text(client, text, sizeof text), BERTH_RET_DENIED);
        check_equal("what was open goes on", call_echo(context), BERTH_RET_OK);
        need("put off again", seteuid(NOBODY));
        check_equal("open as before", try_open(client, "echo", &context), BERTH_RET_OK);
    }
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
}

static void in_a_child(const char *name, void (*body)(void)) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(case_failures ? EXIT_FAILURE : EXIT_SUCCESS); /* a process of changed rights cannot look for its leaks */
    }
    check_so(name, waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    if (geteuid() != 0)
        return CASE_SKIPPED;
    in_a_child("a host that drops its rights", drops);
    in_a_child("a host that drops a group", drops_the_group_alone);
    in_a_child("a host that gains rights", gains);
    return case_result();
}
