/* Opening a context: its first frame goes into the ring before a worker is found, and what is submitted meanwhile queues
 * behind it. The open's answer is the answer to that frame, or the supervisor's refusal. */
#include "context.h"
#include "fork_guard.h"
#include "kill_point.h"
#include "raw_io.h"
#include "status.h"

#define OPEN_TIMEOUT_MS 60000u

static void join_client(struct context *context) {
    struct client *client = context->client;
    pthread_mutex_lock(&client->lock);
    context->next = client->contexts;
    client->contexts = context;
    client->context_count++;
    pthread_mutex_unlock(&client->lock);
}

/* The connection on which the caller is to ask for a worker; 0: the control thread will, once there is a supervisor. */
static uint64_t begin_asking(struct context *context) {
    struct client *client = context->client;
    uint64_t wait_ns = (uint64_t)context->open_timeout_ms * 1000000u;
    pthread_mutex_lock(&client->lock);
    int connected = !__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE);
    context->open_seq = ++client->next_seq;
    context->asked_on = connected ? client->connection : 0;
    if (context->asked_on == client->just_closed_on)
        context->closed_before = client->just_closed;
    client->just_closed_on = 0;
    uint64_t connection = context->asked_on;
    if (!connected)
        __atomic_store_n(&context->supervisor_bound_ns,
                         berth_now_ns() + (wait_ns < SUPERVISOR_WAIT_NS ? wait_ns : SUPERVISOR_WAIT_NS),
                         __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&client->lock);
    return connection;
}

static uint32_t open_timeout_ms(const struct berth_open_options *options) {
    return options && options->open_timeout_ms ? options->open_timeout_ms : OPEN_TIMEOUT_MS;
}

/* A little later than the supervisor's, which knows why no worker was to be had. */
static uint64_t open_deadline(const struct berth_open_options *options) {
    return berth_now_ns() + ((uint64_t)open_timeout_ms(options) + OPEN_SLACK_MS) * 1000000u;
}

int context_ask(struct context *context, uint64_t connection, int segment_fd) {
    struct berth_control_message message;
    int fds[3] = {segment_fd, context->poll_fd, context->doorbell};
    berth_control_init(&message, BERTH_MSG_OPEN);
    berth_control_set_uint(&message, BERTH_KEY_SEQ, context->open_seq);
    berth_control_set_text(&message, BERTH_KEY_MODULE, context->module, strlen(context->module));
    berth_control_set_uint(&message, BERTH_KEY_TIMEOUT_MS, context->open_timeout_ms);
    if (context->closed_before)
        berth_control_set_uint(&message, BERTH_KEY_CONTEXT, context->closed_before);
    context->closed_before = 0;
    uint32_t attempt = __atomic_load_n(&context->attempt, __ATOMIC_RELAXED);
    if (attempt)
        berth_control_set_uint(&message, BERTH_KEY_ATTEMPT, attempt);
    return client_send_on(context->client, connection, &message, fds, 3);
}

static int check_open(const char *module, const void *config, size_t config_len,
                      const struct berth_open_options *options, const berth_context *out) {
    if (!module || !*module || strlen(module) > 255 || !out || (!config && config_len))
        return BERTH_RET_INVALID_ARGUMENT;
    if (options && (options->size != sizeof *options || options->max_in_flight > BERTH_MAX_IN_FLIGHT ||
                    (options->flags & ~BERTH_RESTART)))
        return BERTH_RET_INVALID_ARGUMENT;
    return config_len > BERTH_MAX_PAYLOAD ? BERTH_RET_TOO_LARGE : 0;
}

/* A supervisor that has just died is the control thread's to notice; it asks the next one. */
void context_ask_for_worker(struct context *context) {
    int segment_fd = context->segment_fd; /* before the control thread can know of it, and close it */
    uint64_t connection = begin_asking(context);
    BERTH_KILL_POINT("host.open_begun");
    if (connection && (context_ask(context, connection, segment_fd) == 0 || context->client->reattach.path)) {
        BERTH_KILL_POINT("host.open_sent");
        return;
    }
    if (connection || !context->client->reattach.path) {
        context_fail_now(context, BERTH_RET_UNAVAILABLE, "the supervisor is gone", 22);
        return;
    }
    reattach_now(context->client);
    context_arm_tick(context, __atomic_load_n(&context->supervisor_bound_ns, __ATOMIC_SEQ_CST));
}

/* Before the supervisor hears of the open: a refusal ends the context, and with it every thread that could be started.
 * The thread is to find at once what it waits for. */
static int expect_callback(struct context *context, const struct request *what) {
    if (what->kind != REQUEST_CALLBACK)
        return 0;
    __atomic_fetch_add(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
    if (reply_thread_need(context) == 0)
        return 0;
    __atomic_fetch_sub(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
    return BERTH_RET_EXHAUSTED;
}

/* Makes the context, writes its first frame and asks for a worker. 0 with a reference to *out, or a berth_ret. */
static int open_begin(struct client *client, const char *module, const void *config, size_t config_len, int create,
                      const struct berth_open_options *options, const struct request *what, struct context **out,
                      struct request **request) {
    int segment_fd;
    if (__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE) && !client->reattach.path)
        return BERTH_RET_UNAVAILABLE;
    struct context *context = context_new(client, options, &segment_fd);
    if (!context)
        return BERTH_RET_EXHAUSTED;
    handle_retain(&berth_contexts, context->handle);
    context->segment_fd = segment_fd;
    context->open_timeout_ms = open_timeout_ms(options);
    context->module = strdup(module);
    int ret = context->module ? 0 : BERTH_RET_EXHAUSTED;
    if (ret == 0 && options && (options->flags & BERTH_RESTART) &&
        context_keep_for_restart(context, config, config_len) != 0)
        ret = BERTH_RET_EXHAUSTED;
    if (ret == 0 && create) {
        ret = expect_callback(context, what);
        if (ret == 0)
            ret = context_submit(context, BERTH_FRAME_CREATE, 0, config, config_len, what, request, NULL);
        if (ret == 0)
            __atomic_store_n(&context->create_id, (*request)->id, __ATOMIC_RELEASE);
        context->open_bound_ns = open_deadline(options);
    } else if (ret == 0) {
        context->state = CONTEXT_ACTIVE;
    }
    join_client(context);
    if (ret == 0)
        context_ask_for_worker(context);
    *out = context;
    return ret;
}

int context_wait_opened(struct context *context) {
    struct client *client = context->client;
    pthread_mutex_lock(&client->lock);
    while (!context_is_opened(context) && !__atomic_load_n(&context->failed, __ATOMIC_ACQUIRE))
        pthread_cond_wait(&client->changed, &client->lock);
    pthread_mutex_unlock(&client->lock);
    return context_is_opened(context);
}

/* A worker had it, and was told to end: the supervisor died before it could say which. */
static int lost_while_opening(struct context *context, struct berth_reply *reply) {
    berth_reply_free(reply);
    if (context_begin_close(context, NULL, NULL) == 0)
        context_announce_close(context);
    return reply_text(reply, BERTH_RET_UNAVAILABLE, "the supervisor died while the context was opened");
}

static int refuse(struct berth_reply *why, int ret, const char *text) {
    if (why)
        reply_text(why, ret, text);
    return ret;
}

static const char *open_refusal(int ret) {
    switch (ret) {
    case BERTH_RET_INVALID_ARGUMENT: return "berth_open: module, options or out cannot be";
    case BERTH_RET_TOO_LARGE: return "berth_open: the configuration is larger than 16 MiB";
    case BERTH_RET_UNAVAILABLE: return "the supervisor is gone";
    case BERTH_RET_INVALID_CTX: return "no such client";
    case BERTH_RET_FORKED: return "called in a child of the process that connected";
    default: return "no memory, descriptors or handles for another context";
    }
}

/* `at_once`: the library is late already; the worker ends by its own bounds and nobody waits for it. */
static void context_close_quietly(struct context *context, int at_once) {
    if (context_begin_close(context, NULL, NULL) != 0)
        return;
    if (at_once) {
        context_leave_worker(context);
        context_fail_now(context, BERTH_RET_RECYCLED, BERTH_TEXT_CUT_OFF, sizeof BERTH_TEXT_CUT_OFF - 1);
    }
    context_wait_closed(context);
}

int berth_open(berth_client handle, const char *module, const void *config, size_t config_len,
               const struct berth_open_options *options, berth_context *out, struct berth_reply *why) {
    struct berth_reply own = {0};
    struct context *context = NULL;
    struct request *request = NULL;
    struct request what = {.kind = REQUEST_BLOCKING, .reply = &own};
    int ret = check_open(module, config, config_len, options, out);
    if (why)
        memset(why, 0, sizeof *why);
    if (ret)
        return refuse(why, ret, open_refusal(ret));
    struct client *client = client_acquire(handle);
    if (!client) {
        ret = fork_guard_is_child() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX;
        return refuse(why, ret, open_refusal(ret));
    }
    uint64_t deadline_ns = open_deadline(options);
    ret = open_begin(client, module, config, config_len, 1, options, &what, &context, &request);
    if (ret == 0) {
        if (!context_wait_request(context, request, deadline_ns)) {
            static const char text[] = "the open was not answered before its deadline";
            context_leave_worker(context);
            context_fail_now(context, BERTH_RET_TIMEOUT, text, sizeof text - 1);
            context_wait_request(context, request, 0);
        }
        request_free(context, request);
        ret = own.ret;
        if (ret == BERTH_RET_OK && !context_wait_opened(context))
            ret = lost_while_opening(context, &own);
        out->bits = ret == BERTH_RET_OK ? context->handle : 0;
        if (why)
            reply_set(why, ret, own.data, own.len);
        berth_reply_free(&own);
    } else {
        if (context)
            context_fail_now(context, (uint32_t)ret, NULL, 0);
        refuse(why, ret, open_refusal(ret));
    }
    if (context)
        context_release(context);
    client_release(client);
    return ret;
}

int berth_open_submit(berth_client handle, const char *module, const void *config, size_t config_len,
                      const struct berth_open_options *options, berth_callback done, void *user_data,
                      berth_context *out) {
    struct context *context = NULL;
    struct request *request;
    struct request what = {.kind = REQUEST_CALLBACK, .callback = done, .user_data = user_data};
    if (!done)
        return BERTH_RET_MISSING_CALLBACK;
    int ret = check_open(module, config, config_len, options, out);
    if (ret)
        return ret;
    struct client *client = client_acquire(handle);
    if (!client)
        return fork_guard_is_child() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX;
    what.submitted_ns = berth_now_ns();
    what.next_ping_ns = UINT64_MAX;
    ret = open_begin(client, module, config, config_len, 1, options, &what, &context, &request);
    if (context) {
        if (ret == 0) {
            out->bits = context->handle;
            context_arm_tick(context, context->open_bound_ns);
        } else {
            context_fail_now(context, (uint32_t)ret, NULL, 0);
        }
        context_release(context);
    }
    client_release(client);
    return ret;
}

int berth_call_static(berth_client handle, const char *module, const char *method, const void *data, size_t len,
                      int timeout_ms, struct berth_reply *reply) {
    struct context *context = NULL;
    berth_context ignored;
    int ret = method ? check_open(module, data, len, NULL, &ignored) : BERTH_RET_INVALID_ARGUMENT;
    if (!reply)
        return BERTH_RET_INVALID_ARGUMENT;
    memset(reply, 0, sizeof *reply);
    if (ret)
        return refuse(reply, ret, open_refusal(ret));
    struct client *client = client_acquire(handle);
    if (!client) {
        ret = fork_guard_is_child() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX;
        return refuse(reply, ret, open_refusal(ret));
    }
    ret = open_begin(client, module, NULL, 0, 0, NULL, NULL, &context, NULL);
    if (ret == 0) {
        berth_context bits = {context->handle};
        ret = berth_call(bits, berth_method_id(method, strlen(method)), data, len, timeout_ms, reply);
        context_close_quietly(context, ret == BERTH_RET_TIMEOUT);
    } else {
        refuse(reply, ret, open_refusal(ret));
    }
    if (context)
        context_release(context);
    client_release(client);
    return ret;
}
