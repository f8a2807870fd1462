/* A program with a thread for each CPU, or one of real time, whose such thread happens to connect: the supervisor
 * and its workers run where and how the process does, not as that thread. */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "host_case.h"

static int policy;
static berth_client client;

static void *connect_pinned(void *unused) {
    cpu_set_t one;
    struct sched_param param = {policy == SCHED_FIFO ? 10 : 0};
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    need("pin the thread", pthread_setaffinity_np(pthread_self(), sizeof one, &one));
    need("its policy", pthread_setschedparam(pthread_self(), policy, &param));
    if (policy == SCHED_OTHER)
        setpriority(PRIO_PROCESS, 0, 7); /* of this thread */
    client = connect_private();
    return unused;
}

static void check_process(const char *what, pid_t pid) {
    cpu_set_t ours, its;
    need("affinity", sched_getaffinity(getpid(), sizeof ours, &ours));
    need("affinity", sched_getaffinity(pid, sizeof its, &its));
    check_so(what, CPU_EQUAL(&ours, &its));
    check_equal(what, sched_getscheduler(pid), sched_getscheduler(getpid()));
    check_equal(what, getpriority(PRIO_PROCESS, (id_t)pid), getpriority(PRIO_PROCESS, (id_t)getpid()));
}

static void session(int with) {
    pthread_t thread;
    policy = with;
    pthread_create(&thread, NULL, connect_pinned, NULL);
    pthread_join(thread, NULL);
    berth_context context = open_echo(client);
    check_equal("call", call_echo(context), BERTH_RET_OK);
    check_process("the supervisor runs as the process does", supervisor_of(client));
    check_process("the worker runs as the process does", worker_of(client));
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
}

int main(void) {
    struct sched_param param = {0};
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return CASE_SKIPPED;
    session(SCHED_OTHER);
    session(SCHED_BATCH); /* SCHED_IDLE would have no CPU on a busy machine */
    param.sched_priority = 1;
    if (sched_setscheduler(0, SCHED_FIFO, &param) == 0) { /* as root */
        param.sched_priority = 0;
        sched_setscheduler(0, SCHED_OTHER, &param);
        session(SCHED_FIFO);
    }
    return case_result();
}
