/* What the original does not do right, and a stub does. Each rule prints one line. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "timer_calls.h"

/* --- inside callbacks -------------------------------------------------------------------------------------------- */

struct nested {
    void *ctx;
    struct record record;
    int destroyed;
};

static void call_inside(struct record *record) {
    struct nested *nested = record->inside_of;
    submit(&nested->record, my_timer_version, nested->ctx, no_parameters());
}

static void calls_inside_a_callback(void) {
    struct nested nested = {created("nested"), RECORD("a call inside a callback"), -1};
    struct record outer = RECORD("outer"), destroyed = RECORD("destroy");
    outer.inside = call_inside;
    outer.inside_of = &nested;
    submit(&outer, my_timer_version, nested.ctx, no_parameters());
    wait_terminal(&nested.record, 1);
    wait_terminal(&outer, 1);
    print_record(&nested.record);
    destroy_code(nested.ctx, &destroyed);
}

static void destroy_now(struct record *record) {
    struct nested *nested = record->inside_of;
    if (nested->destroyed >= 0)
        return;
#ifdef MY_TIMER_BLOCKING
    nested->destroyed = my_timer_destroy(nested->ctx);
#else
    begin(&nested->record);
    nested->destroyed = my_timer_destroy(nested->ctx, on_told, &nested->record);
    returned(&nested->record, nested->destroyed);
#endif
}

static void wait_destroyed(struct nested *nested) {
#ifndef MY_TIMER_BLOCKING
    wait_terminal(&nested->record, 1);
#endif
    (void)nested;
}

/* With another request in flight, whose answer comes nevertheless. */
static void destroy_inside_an_answer(void) {
    struct nested nested = {created("nested"), RECORD("destroy"), -1};
    struct record outer = RECORD("outer"), other = RECORD("in flight while destroyed inside an answer");
    outer.inside = destroy_now;
    outer.inside_of = &nested;
    submit(&other, my_timer_echo, nested.ctx, echo_of("other", 300));
    submit(&outer, my_timer_version, nested.ctx, no_parameters());
    wait_terminal(&other, 1);
    wait_terminal(&outer, 1);
    wait_destroyed(&nested);
    say("destroyed inside an answer: %d", nested.destroyed);
    print_record(&other);
}

static void destroy_inside_an_event(void) {
    struct nested nested = {created("nested"), RECORD("destroy"), -1};
    struct record event = RECORD("event"), emit = RECORD("emit");
    event.inside = destroy_now;
    event.inside_of = &nested;
    my_timer_add_event_listener(nested.ctx, "tick", on_told, &event);
    submit(&emit, my_timer_emit, nested.ctx, emit_of("tick", 5));
    wait_terminal(&emit, 1);
    wait_terminal(&event, 1);
    wait_destroyed(&nested);
    say("destroyed inside an event: %d", nested.destroyed);
}

/* A callback of events that takes its time keeps no answer waiting. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static void wait_at_gate(struct record *record) {
    (void)record;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void a_slow_listener(void) {
    void *ctx = created("slow listener");
    struct record event = RECORD("event"), emit = RECORD("emit"), destroyed = RECORD("destroy");
    event.inside = wait_at_gate;
    pthread_mutex_lock(&gate);
    my_timer_add_event_listener(ctx, "tick", on_told, &event);
    submit(&emit, my_timer_emit, ctx, emit_of("tick", 1));
    wait_terminal(&emit, 1);
    ask("an answer while a listener takes its time", my_timer_version, ctx, no_parameters());
    say("the listener is still at it: %s", event.terminal == 0 ? "yes" : "no");
    pthread_mutex_unlock(&gate);
    wait_terminal(&event, 1);
    destroy_code(ctx, &destroyed);
}

/* --- contexts ---------------------------------------------------------------------------------------------------- */

#define MANY 34

static void many_contexts(void) {
    struct record records[MANY], destroyed[MANY];
    char addresses[MANY][40];
    void *ctx[MANY];
    int answered = 0, gone = 0;
    for (int i = 0; i < MANY; i++) {
        records[i] = (struct record)RECORD("create");
        ctx[i] = create(&records[i], config_of("one of many", NULL), addresses[i]);
        answered += ctx[i] && records[i].told[0].code == RET_OK;
    }
    for (int i = 0; i < MANY; i++) {
        destroyed[i] = (struct record)RECORD("destroy");
        gone += destroy_code(ctx[i], &destroyed[i]) == 0 && !destroyed[i].told[0].on_caller;
    }
    say("contexts at once: %d, destroyed: %d", answered, gone);
}

/* A destroyed context's address is nobody else's. */
static void stale_addresses(void) {
    void *first = created("first");
    struct record destroyed = RECORD("destroy"), again = RECORD("destroy again"), last = RECORD("destroy the last");
    destroy_code(first, &destroyed);
    void *second = created("second");
    say("the next context has another address: %s", first != second ? "yes" : "no");
    ask("a call to the first", my_timer_version, first, no_parameters());
    destroy_code(first, &again);
    print_record(&again);
    ask("the second lives", my_timer_echo, second, echo_of("I live", 0));
    destroy_code(second, &last);
}

/* Module globals that break a second instance: each has a process of its own. */
static void exclusive_pair(void) {
    void *ctx[2];
    for (int i = 0; i < 2; i++) {
        char address[40];
        struct cbor_out config = {0};
        struct record record = RECORD(i ? "the second exclusive one" : "the first exclusive one");
        out_map(&config, 1);
        out_text(&config, "config");
        out_map(&config, 1);
        out_text(&config, "exclusive");
        out_bool(&config, true);
        ctx[i] = create(&record, config, address);
        print_record(&record);
    }
    destroy("destroy", ctx[0]);
    destroy("destroy", ctx[1]);
}

/* Requests of a context that was not heard of yet queue behind its create. */
static void call_before_created(void) {
    struct cbor_out config = config_of("early", NULL);
    struct record record = RECORD("create"), early = RECORD("a call before create is answered");
    begin(&record);
    void *ctx = my_timer_create(config.data, config.len, on_told, &record);
    returned(&record, ctx != NULL);
    submit(&early, my_timer_echo, ctx, echo_of("early", 0));
    wait_terminal(&record, 1);
    wait_terminal(&early, 1);
    say("create was answered first: %s", record.told[0].order < early.told[0].order ? "yes" : "no");
    print_record(&early);
    free(config.data);
    destroy("destroy", ctx);
    void *at_once = my_timer_create((const uint8_t *)"\xa0", 1, on_told, &record);
    destroy("destroy before create is answered", at_once);
}

/* Failing constructors in any number use nothing up. */
static void failing_creates(void) {
    int told = 0;
    char address[40];
    for (int i = 0; i < MANY; i++) {
        struct record record = RECORD("create");
        create(&record, config_of("bad", "no"), address);
        told += record.count == 1 && record.told[0].code == RET_ERR;
    }
    say("creates that failed: %d", told);
    void *ctx = created("after failures");
    destroy("destroy", ctx);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void twice_and_crash(void) {
    void *ctx = created("misbehaves");
    struct record twice = RECORD("a library that answers twice"), crash = RECORD("a library that crashes");
    crash.text_varies = true;
    submit(&twice, my_timer_misbehave, ctx, one_text("how", "double"));
    wait_terminal(&twice, 1);
    ask("and goes on", my_timer_version, ctx, no_parameters());
    print_record(&twice);
    ask("an error without text", my_timer_misbehave, ctx, one_text("how", "empty_error"));
    submit(&crash, my_timer_misbehave, ctx, one_text("how", "crash"));
    wait_terminal(&crash, 1);
    print_record(&crash);
    destroy("destroy", ctx);
}

/* An overflow of events is over when the host has caught up. */
static void many_events(void) {
    void *ctx = created("many events");
    struct record event = RECORD("event"), emit = RECORD("emit");
    uint64_t id = my_timer_add_event_listener(ctx, "tick", on_told, &event);
    submit(&emit, my_timer_emit, ctx, emit_of("tick", 900));
    wait_terminal(&emit, 1);
    wait_terminal(&event, 900);
    say("events: %d", event.count);
    my_timer_remove_event_listener(ctx, id);
    destroy("destroy", ctx);
}

/* --- fork -------------------------------------------------------------------------------------------------------- */

static int in_child(void *ctx) {
    struct record call = RECORD("call"), made = RECORD("create"), known = RECORD("build_info");
    alarm(30);
    begin(&call);
    returned(&call, my_timer_version(ctx, on_told, &call, (const uint8_t *)"\xa0", 1));
    begin(&made);
    void *other = my_timer_create((const uint8_t *)"\xa0", 1, on_told, &made);
    begin(&known);
    returned(&known, my_timer_build_info(on_told, &known, (const uint8_t *)"\xa0", 1));
    int fine = call.returned == 1 && call.count == 1 && call.told[0].code == RET_ERR && !other && made.count == 1 &&
               made.told[0].code == RET_ERR && known.returned == 1 && known.count == 1 &&
               my_timer_add_event_listener(ctx, "tick", on_told, &call) == 0 &&
               my_timer_remove_event_listener(ctx, 1) == 1;
#ifdef MY_TIMER_BLOCKING
    return fine && my_timer_destroy(ctx) == 1;
#else
    struct record destroyed = RECORD("destroy");
    return fine && my_timer_destroy(ctx, on_told, &destroyed) == 1 && destroyed.count == 1;
#endif
}

static void after_fork(void) {
    void *ctx = created("forked");
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(in_child(ctx) ? 0 : 1);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    say("errors in a child: %s", status == 0 ? "yes" : "no");
    ask("the parent goes on", my_timer_version, ctx, no_parameters());
    destroy("destroy", ctx);
}

int rules(void) {
    calls_inside_a_callback();
    destroy_inside_an_answer();
    destroy_inside_an_event();
    a_slow_listener();
    call_before_created();
    many_contexts();
    stale_addresses();
    exclusive_pair();
    failing_creates();
    twice_and_crash();
    many_events();
    after_fork();
    return 0;
}
