/* A host with an interval timer (a profiler, a language runtime): whatever it calls has the same results as without,
 * with SA_RESTART and without. A handler is what makes a system call return EINTR. */
#include <signal.h>
#include <sys/time.h>

#include "host_case.h"

#define ROUNDS 12

static volatile sig_atomic_t ticks;
static void tick(int signal) {
    (void)signal;
    ticks++;
}

static void set_timer(long period_us) {
    struct itimerval timer = {{0, period_us}, {0, period_us}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void one_round(void) {
    struct berth_completion completion;
    struct berth_reply reply;
    berth_client client = connect_private();
    berth_context context = open_echo(client);
    for (int i = 0; i < 20; i++)
        check_equal("call", call_echo(context), BERTH_RET_OK);
    check_equal("submit", berth_submit(context, berth_method_id("echo", 4), "x", 1, NULL, NULL, NULL), BERTH_RET_OK);
    check_equal("reap", berth_reap(context, &completion, 1, 60000), 1);
    check_deadlines(context);
    check_equal("status", berth_status(client, &reply), BERTH_RET_OK);
    berth_reply_free(&reply);
    check_equal("call_static", berth_call_static(client, "echo", "version", NULL, 0, 60000, &reply), BERTH_RET_OK);
    berth_reply_free(&reply);
    check_equal("close", berth_close(context, NULL, NULL), BERTH_RET_OK);
    open_echo(client); /* left for the disconnect */
    pid_t supervisor = supervisor_of(client);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
    char state = process_state(supervisor);
    check_so("the supervisor has ended with the disconnect", state == 0 || state == 'Z');
}

int main(void) {
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = tick, .sa_flags = restart ? SA_RESTART : 0};
        sigaction(SIGALRM, &action, NULL);
        for (int i = 0; i < ROUNDS; i++) {
            set_timer(200 + 150 * i);
            one_round();
            set_timer(0);
        }
    }
    check_so("the timer ticked", ticks > 100);
    return case_result();
}
