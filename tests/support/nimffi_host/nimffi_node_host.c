/* A host of my_node, of the older generation: JSON, C strings and integers, one callback for events, which gets the
 * context itself as user data. As nimffi-host, it runs over what the loader finds.
 *
 * usage: nimffi-node-host conversation */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "my_node.h"
#include "record.h"

static struct record created = RECORD("new"), events = RECORD("events");
static void *event_ud;

/* Such hosts print what they are told with %s. */
static void on_event(int code, const char *data, size_t len, void *user_data) {
    event_ud = user_data;
    on_told(code, data, strlen(data) < len ? strlen(data) : len, &events);
}

static void finish(struct record *record, int code) {
    returned(record, code);
    wait_terminal(record, 1);
    print_record(record);
}

#define ASK(label, function, ...)                                                                                      \
    do {                                                                                                               \
        struct record record = RECORD(label);                                                                          \
        begin(&record);                                                                                                \
        finish(&record, function(ctx, on_told, &record, ##__VA_ARGS__));                                               \
    } while (0)

static int conversation(void) {
    char topic[] = "/waku/2/\"quoted\"", message[] = "hello";
    begin(&created);
    void *ctx = my_node_new("{\"port\": 1}", on_told, &created);
    finish(&created, ctx != NULL);
    set_event_callback(ctx, on_event, ctx);
    ASK("version", my_node_version);
    ASK("start", my_node_start);
    ASK("start again", my_node_start);
    struct record publish = RECORD("publish");
    begin(&publish);
    int code = my_node_publish(ctx, on_told, &publish, topic, message, 7);
    memset(topic, 'x', sizeof topic - 1); /* copied by now */
    memset(message, 'x', sizeof message - 1);
    finish(&publish, code);
    ASK("publish NULL", my_node_publish, "t", NULL, 4294967295u);
    wait_terminal(&events, 2);
    say("user data is the context: %d", event_ud == ctx);
    set_event_callback(ctx, NULL, NULL);
    ASK("publish to nobody", my_node_publish, "", "", 0);
    ASK("sum", my_node_sum, -1, 4000000000u, -5000000000, 18446744073709551615u, true, 0.1);
    ASK("sum of least", my_node_sum, -2147483647 - 1, 0, INT64_MIN, 0, false, -0.0);
    ASK("wait", my_node_wait, 20);
    ASK("fail", my_node_fail, "no such peer");
    ASK("stop", my_node_stop);
    say("no callback: %d", my_node_version(ctx, NULL, NULL));
    ASK("destroy", my_node_destroy);
    ASK("a destroyed node", my_node_version);
    ctx = NULL;
    ASK("no node", my_node_start);
    print_record(&events);
    struct record failed = RECORD("new that fails");
    begin(&failed);
    ctx = my_node_new("{\"fail\": true}", on_told, &failed);
    finish(&failed, ctx != NULL);
    ASK("destroy what failed", my_node_destroy);
    return 0;
}

int main(int argc, char **argv) {
    remember_mask();
    libmy_nodeNimMain();
    if (argc == 2 && strcmp(argv[1], "conversation") == 0)
        return conversation();
    fprintf(stderr, "usage: nimffi-node-host conversation\n");
    return 2;
}
