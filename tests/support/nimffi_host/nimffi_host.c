/* A host of my_timer, written against nim-ffi's ABI and nothing else. It is linked to the library by name, so it runs
 * with whatever the loader finds: the fixture in this process, or a stub of it. What it says on stdout is the
 * conversation: codes, bytes, which thread.
 *
 * usage: nimffi-host conversation   the same over fixture and stub
 *        nimffi-host signals        whose handlers the host has after a create
 *        nimffi-host kill           (stub) the worker is killed under pending calls
 *        nimffi-host rules          (stub) what the original does not do right
 *        nimffi-host print|late|large|progress   (stub) one thing each */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "timer_calls.h"

/* --- the conversation -------------------------------------------------------------------------------------------- */

static void answers(void *ctx) {
    ask("echo", my_timer_echo, ctx, echo_of("hi", 0));
    ask("echo later", my_timer_echo, ctx, echo_of("a little later", 20));
    ask("version", my_timer_version, ctx, no_parameters());
    ask("bytes", my_timer_bytes, ctx, one_uint("size", 100));
    ask("bytes, none", my_timer_bytes, ctx, one_uint("size", 0));
    ask("bytes, many", my_timer_bytes, ctx, one_uint("size", 3000000));
    ask("nothing", my_timer_nothing, ctx, no_parameters());
    ask("fail", my_timer_fail, ctx, one_text("text", "as you said"));
    ask("a field that is not there", my_timer_echo, ctx, one_text("bogus", "1"));
    ask("progress", my_timer_misbehave, ctx, one_text("how", "stale"));
}

static void refusals(void *ctx) {
    struct cbor_out request = no_parameters();
    int local = 0;
    say("no callback: %d", my_timer_version(ctx, NULL, NULL, request.data, request.len));
    say("no callback, no context: %d", my_timer_version(NULL, NULL, NULL, request.data, request.len));
    say("create without callback: %s", my_timer_create(request.data, request.len, NULL, NULL) ? "a context" : "NULL");
    free(request.data);
    ask("no context", my_timer_version, NULL, no_parameters());
    ask("a made-up context", my_timer_version, &local, no_parameters());
    ask("another made-up context", my_timer_version, (void *)(uintptr_t)0x7f0000001000u, no_parameters());
}

static void static_call(void) {
    struct cbor_out request = no_parameters();
    struct record record = RECORD("build_info");
    say("static without callback: %d", my_timer_build_info(NULL, NULL, request.data, request.len));
    begin(&record);
    returned(&record, my_timer_build_info(on_told, &record, request.data, request.len));
    done_with(&request);
    wait_terminal(&record, 1);
    print_record(&record);
}

/* Requests run side by side, and are answered as they finish. */
static void side_by_side(void *ctx) {
    struct record slow = RECORD("slow"), middle = RECORD("middle"), quick = RECORD("quick");
    submit(&slow, my_timer_echo, ctx, echo_of("slow", 3000));
    submit(&middle, my_timer_echo, ctx, echo_of("middle", 1500));
    submit(&quick, my_timer_echo, ctx, echo_of("quick", 0));
    wait_terminal(&slow, 1);
    wait_terminal(&middle, 1);
    wait_terminal(&quick, 1);
    bool in_order = quick.told[0].order < middle.told[0].order && middle.told[0].order < slow.told[0].order;
    say("answered as they finish: %s", in_order ? "yes" : "no");
    print_record(&slow);
    print_record(&middle);
    print_record(&quick);
}

struct crowd {
    void *ctx;
    int answers;
};

static void *crowd_member(void *argument) {
    struct crowd *crowd = argument;
    for (int i = 0; i < 100; i++) {
        struct record record = RECORD("crowd");
        submit(&record, my_timer_echo, crowd->ctx, echo_of("all of us", 0));
        wait_terminal(&record, 1);
        crowd->answers += record.count == 1 && record.told[0].code == RET_OK;
    }
    return NULL;
}

static void from_many_threads(void *ctx) {
    pthread_t threads[8];
    struct crowd crowds[8];
    int answers = 0;
    for (int i = 0; i < 8; i++) {
        crowds[i] = (struct crowd){ctx, 0};
        pthread_create(&threads[i], NULL, crowd_member, &crowds[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        answers += crowds[i].answers;
    }
    say("from 8 threads: %d calls answered once", answers);
}

struct self_removal {
    void *ctx;
    uint64_t id;
    int removed;
};

static void remove_itself(struct record *record) {
    struct self_removal *removal = record->inside_of;
    removal->removed = my_timer_remove_event_listener(removal->ctx, removal->id);
}

static void listeners(void *ctx) {
    struct record all = RECORD("events"), again = RECORD("events of a second listener"), once = RECORD("one event");
    struct record other = RECORD("events of another name"), emit = RECORD("emit");
    struct self_removal removal = {ctx, 0, -1};
    once.inside = remove_itself;
    once.inside_of = &removal;
    uint64_t first = my_timer_add_event_listener(ctx, "tick", on_told, &all);
    uint64_t second = my_timer_add_event_listener(ctx, "tick", on_told, &again);
    removal.id = my_timer_add_event_listener(ctx, "tick", on_told, &once);
    uint64_t third = my_timer_add_event_listener(ctx, "on_nothing_known", on_told, &other);
    say("listeners: %d %d %d %d", first != 0, second != 0 && second != first, removal.id != 0, third != 0);
    say("cannot be: %d %d %d", my_timer_add_event_listener(NULL, "tick", on_told, &all) != 0,
        my_timer_add_event_listener(ctx, NULL, on_told, &all) != 0,
        my_timer_add_event_listener(ctx, "tick", NULL, NULL) != 0);
    submit(&emit, my_timer_emit, ctx, emit_of("tick", 3));
    wait_terminal(&emit, 1);
    wait_terminal(&all, 3);
    wait_terminal(&again, 3);
    wait_terminal(&once, 1);
    say("removed inside: %d; and again: %d; never there: %d; no context: %d", removal.removed,
        my_timer_remove_event_listener(ctx, removal.id), my_timer_remove_event_listener(ctx, 4711),
        my_timer_remove_event_listener(NULL, first));
    say("removed: %d %d", my_timer_remove_event_listener(ctx, first), my_timer_remove_event_listener(ctx, third));
    ask("emit to the one that is left", my_timer_emit, ctx, emit_of("tick", 1));
    wait_terminal(&again, 4);
    say("removed: %d", my_timer_remove_event_listener(ctx, second));
    print_record(&emit);
    print_record(&all);
    print_record(&again);
    print_record(&once);
    print_record(&other);
}

static void failing_create(void) {
    char address[40];
    struct record record = RECORD("a create that fails");
    void *ctx = create(&record, config_of("demo", "the configuration says no"), address);
    print_record(&record);
    destroy("destroy what failed", ctx);
}

static void after_destroy(void *ctx) {
    destroy("destroy", ctx);
    ask("a destroyed context", my_timer_version, ctx, no_parameters());
    struct record record = RECORD("listener");
    say("listen on a destroyed context: %d", my_timer_add_event_listener(ctx, "tick", on_told, &record) != 0);
    struct record twice = RECORD("destroy again");
    destroy_code(ctx, &twice);
    print_record(&twice);
    struct record none = RECORD("destroy nothing");
    destroy_code(NULL, &none);
    print_record(&none);
}

/* Longer than the 1.5 s that a destroy waits. */
static void destroy_in_flight(void) {
    void *ctx = created("in flight");
    struct record soon = RECORD("in flight, soon done"), never = RECORD("in flight, far from done");
    never.text_varies = true;
    submit(&soon, my_timer_echo, ctx, echo_of("soon", 100));
    submit(&never, my_timer_echo, ctx, echo_of("never", 600000));
    destroy("destroy with requests in flight", ctx);
    say("told when it returns: %d %d", soon.terminal, never.terminal);
    print_record(&soon);
    print_record(&never);
}

/* A context's callbacks have the mask of its maker, whoever made the one before. */
static void with_another_mask(void) {
    sigset_t other;
    sigemptyset(&other);
    sigaddset(&other, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &other, NULL);
    remember_mask();
    void *ctx = created("with another mask");
    ask("its echo", my_timer_echo, ctx, echo_of("hi", 0));
    destroy("its destroy", ctx);
}

static int conversation(void) {
    char address[40];
    struct record record = RECORD("create"), fired = RECORD("on_echo_fired");
    libmy_timerNimDestroyGlobals();
    void *ctx = create(&record, config_of("demo", NULL), address);
    print_record(&record);
    uint64_t id = my_timer_add_event_listener(ctx, "on_echo_fired", on_told, &fired);
    answers(ctx);
    wait_terminal(&fired, 2);
    my_timer_remove_event_listener(ctx, id);
    print_record(&fired);
    refusals(ctx);
    static_call();
    side_by_side(ctx);
    from_many_threads(ctx);
    listeners(ctx);
    after_destroy(ctx);
    failing_create();
    destroy_in_flight();
    with_another_mask();
    return 0;
}

/* --- signals ----------------------------------------------------------------------------------------------------- */

static void on_signal(int number) { (void)number; }

static void print_handler(const char *name, int number) {
    struct sigaction action;
    sigaction(number, NULL, &action);
    say("%s: %s", name, action.sa_handler == on_signal ? "the host's" : "overwritten");
}

static int signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    void *ctx = created("signals");
    print_handler("SIGINT", SIGINT);
    print_handler("SIGPIPE", SIGPIPE);
    print_handler("SIGSEGV", SIGSEGV);
    struct record record = RECORD("destroy");
    return destroy_code(ctx, &record);
}

/* --- over the stub alone ----------------------------------------------------------------------------------------- */

#define PENDING 20

static pid_t parent_of(pid_t pid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file))
        fail_host("%s cannot be read", path);
    fclose(file);
    const char *end = strrchr(text, ')');
    return end ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

/* The supervisor of the stub's own is killed: the next create starts another. */
static int without_supervisor(void) {
    void *ctx = created("the third's");
    pid_t supervisor = parent_of(library_pid(ctx));
    struct record record = RECORD("destroy");
    destroy_code(ctx, &record);
    if (supervisor <= 1)
        fail_host("the worker has no supervisor");
    kill(supervisor, SIGKILL);
    while (kill(supervisor, 0) == 0)
        usleep(1000);
    ctx = created("the third");
    ask("after its supervisor was killed, echo", my_timer_echo, ctx, echo_of("hi", 0));
    destroy("destroy the third", ctx);
    return 0;
}

static int kill_worker(void) {
    struct record pending[PENDING];
    void *ctx = created("to be killed");
    pid_t pid = library_pid(ctx);
    int once = 0;
    for (int i = 0; i < PENDING; i++) {
        pending[i] = (struct record)RECORD("pending");
        submit(&pending[i], my_timer_echo, ctx, echo_of("never", 600000));
    }
    kill(pid, SIGKILL);
    for (int i = 0; i < PENDING; i++) {
        wait_terminal(&pending[i], 1);
        const struct told *told = &pending[i].told[0];
        once += pending[i].count == 1 && told->code == RET_ERR && told->len > 0 && !told->on_caller;
        if (i == 0)
            say("told: %.*s", (int)told->len, told->data);
    }
    say("pending calls told once, by RET_ERR and text: %d of %d", once, PENDING);
    struct record after = RECORD("a call after that");
    after.text_varies = true;
    submit(&after, my_timer_version, ctx, no_parameters());
    wait_terminal(&after, 1);
    print_record(&after);
    destroy("destroy", ctx);
    ctx = created("the next");
    ask("echo of the next", my_timer_echo, ctx, echo_of("hi", 0));
    destroy("destroy the next", ctx);
    return without_supervisor();
}

static int print(void) {
    void *ctx = created("prints");
    struct record record = RECORD("destroy");
    ask("print", my_timer_misbehave, ctx, one_text("how", "print"));
    return destroy_code(ctx, &record);
}

static const char *late;
static size_t late_len;
static void on_late(int code, const char *data, size_t len, void *user_data) {
    late = data;
    late_len = len;
    on_told(code, data, len, user_data);
}

static int read_late(void) {
    void *ctx = created("read late");
    struct record record = RECORD("version"), destroyed = RECORD("destroy");
    begin(&record);
    returned(&record, my_timer_version(ctx, on_late, &record, (const uint8_t *)"\xa0", 1));
    wait_terminal(&record, 1);
    destroy_code(ctx, &destroyed);
    say("read after the callback: %.*s", (int)late_len, late);
    return 0;
}

static int large(void) {
    void *ctx = created("large");
    struct cbor_out request = {.data = calloc(17, 1 << 20), .len = 17 << 20};
    struct record destroyed = RECORD("destroy");
    ask("17 MiB", my_timer_echo, ctx, request);
    return destroy_code(ctx, &destroyed);
}

static int progress(void) {
    void *ctx = created("progress");
    struct record destroyed = RECORD("destroy");
    ask("progress", my_timer_misbehave, ctx, one_text("how", "stale"));
    return destroy_code(ctx, &destroyed);
}

int main(int argc, char **argv) {
    const char *what = argc == 2 ? argv[1] : "";
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGUSR2);
    sigprocmask(SIG_BLOCK, &own, NULL);
    remember_mask();
    static const struct {
        const char *name;
        int (*run)(void);
    } known[] = {{"conversation", conversation}, {"signals", signals}, {"kill", kill_worker}, {"rules", rules},
                 {"print", print},               {"late", read_late},  {"large", large},      {"progress", progress}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(what, known[i].name) == 0)
            return known[i].run();
    fprintf(stderr, "nimffi-host: no such thing to do: %s\n", what);
    return 2;
}
