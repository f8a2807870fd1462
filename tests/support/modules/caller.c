/* A module that calls its own methods: from threads of its own (`via`, `start`, `hammer`, `storm`), and from where it
 * may not (`within`, create, destroy, an answer that comes on the library thread). What `done` was given is counted;
 * these counts outlive the context, so that the next one in the process can `tally` what a close did. With DEAF it has no
 * `cancel`. */
#include "module.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct berth_worker *worker;

enum { VIA, WITHIN, START, HAMMER, STORM, TALLY, PLACES, ECHO, WHERE, TWICE, PROGRESS, BIG, LATER, HOLD, NAP, CHAIN };

static const struct berth_method methods[] = {
    {"via", 0},   {"within", 0}, {"start", 0}, {"hammer", 0},   {"storm", 0}, {"tally", 0},
    {"places", 0}, {"echo", 0},  {"where", 0}, {"twice", 0},    {"progress", 0}, {"big", 0},
    {"later", 0}, {"hold", 0},   {"nap", 0},   {"chain", 0}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over all that follows */
static int hammers; /* threads that go on until they are refused */
static int accepted, refused, oks, errs, recycled, others; /* calls, and what their `done` was given */
static char last_refusal[128], at_create[128], at_destroy[128], second_answer[16];

static int on_library_thread(void) { return syscall(SYS_gettid) == getpid(); }

static void answer_text(berth_request request, const char *text) { worker->reply(request, 0, text, strlen(text)); }

static void keep(char *to, size_t room, const char *text, size_t len) {
    snprintf(to, room, "%.*s", (int)len, text);
}

/* --- one call, whose answer goes to a host's request, or waits to be looked at --- */

struct job {
    berth_request request;
    int count;     /* start, hammer, storm */
    int threads;   /* storm: so many are at it still */
    int wrong;     /* storm */
    char method[32];
    size_t len;
    char data[];
};

/* From "METHOD DATA". */
static struct job *job_of(berth_request request, const uint8_t *data, size_t len) {
    struct job *job = calloc(1, sizeof *job + len + 1);
    const uint8_t *space = memchr(data, ' ', len);
    size_t name = space ? (size_t)(space - data) : len, from = space ? name + 1 : len;
    if (!job)
        abort();
    job->request = request;
    keep(job->method, sizeof job->method, (const char *)data, name);
    memcpy(job->data, data + from, job->len = len - from);
    return job;
}

/* All of it is data. */
static struct job *whole(berth_request request, const uint8_t *data, size_t len) {
    struct job *job = calloc(1, sizeof *job + len);
    if (!job)
        abort();
    job->request = request;
    memcpy(job->data, data, job->len = len);
    return job;
}

static void in_thread(void *(*run)(void *), void *with) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, with) != 0)
        abort();
    pthread_detach(thread);
}

static void pass_on(void *to, int ret, const void *data, size_t len) {
    struct job *job = to;
    char *text = malloc(len + 16);
    if (!text)
        abort();
    int start = snprintf(text, 16, "%d ", ret);
    if (len)
        memcpy(text + start, data, len);
    worker->reply(job->request, 0, text, (size_t)start + len);
    free(text);
    free(job);
}

static void *via(void *with) {
    struct job *job = with;
    worker->call(job->method, job->data, job->len, pass_on, job);
    return NULL;
}

struct seen {
    int times;
    char text[128];
};

static void see(void *to, int ret, const void *data, size_t len) {
    struct seen *seen = to;
    char text[96];
    keep(text, sizeof text, data, len);
    snprintf(seen->text, sizeof seen->text, "%d %s", ret, text);
    seen->times++;
}

/* "RETURNED TIMES RET TEXT" of a call that is refused before it returns. */
static void refused_call(char *out, size_t room, const char *method) {
    struct seen seen = {0, ""};
    int returned = worker->call(method, "", 0, see, &seen);
    snprintf(out, room, "%d %d %s", returned, seen.times, seen.text);
}

/* --- many --- */

static void count(void *unused, int ret, const void *data, size_t len) {
    (void)unused;
    pthread_mutex_lock(&lock);
    *(ret == 0 ? &oks : ret == 1 ? &errs : ret == 11 ? &recycled : &others) += 1;
    if (ret != 0)
        keep(last_refusal, sizeof last_refusal, data, len);
    pthread_mutex_unlock(&lock);
}

static int call_and_count(const char *method) {
    int rc = worker->call(method, "", 0, count, NULL);
    pthread_mutex_lock(&lock);
    *(rc == 0 ? &accepted : &refused) += 1;
    pthread_mutex_unlock(&lock);
    return rc;
}

static void tally(berth_request request) {
    char text[320];
    pthread_mutex_lock(&lock);
    snprintf(text, sizeof text, "accepted %d refused %d: 0 %d, 1 %d, 11 %d, else %d; %s", accepted, refused, oks, errs,
             recycled, others, last_refusal);
    accepted = refused = oks = errs = recycled = others = 0;
    last_refusal[0] = 0;
    pthread_mutex_unlock(&lock);
    answer_text(request, text);
}

static void *start(void *with) {
    struct job *job = with;
    for (int i = 0; i < job->count; i++)
        call_and_count(job->method);
    answer_text(job->request, "started");
    free(job);
    return NULL;
}

/* Until it is refused: the context is being closed. */
static void *hammer(void *unused) {
    (void)unused;
    int rc;
    do {
        rc = call_and_count("echo");
        if (rc == 1) {
            pthread_mutex_lock(&lock);
            rc = strstr(last_refusal, "in flight") ? 0 : 1;
            pthread_mutex_unlock(&lock);
        }
    } while (rc == 0);
    pthread_mutex_lock(&lock);
    hammers--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

struct expected {
    struct job *job;
    char data[64];
    int answers;
};

static void check(void *to, int ret, const void *data, size_t len) {
    struct expected *expected = to;
    int right = ret == 0 && len == strlen(expected->data) && memcmp(data, expected->data, len) == 0;
    pthread_mutex_lock(&lock);
    expected->answers++;
    expected->job->wrong += !right || expected->answers != 1;
    pthread_mutex_unlock(&lock);
}

static int answered(struct expected *each, int count) {
    int all = 1;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++)
        all = all && each[i].answers;
    pthread_mutex_unlock(&lock);
    return all;
}

/* `count` calls in lots of 16, each answer looked at; the last thread answers the host. */
static void *storm(void *with) {
    enum { LOT = 16 };
    struct job *job = with;
    struct expected *each = calloc((size_t)job->count, sizeof *each);
    if (!each)
        abort();
    for (int i = 0; i < job->count; i++) {
        each[i].job = job;
        snprintf(each[i].data, sizeof each[i].data, "%p call %d", (void *)each, i);
        worker->call(i % 3 ? "echo" : "later", each[i].data, strlen(each[i].data), check, &each[i]);
        if (i % LOT == LOT - 1 || i == job->count - 1)
            while (!answered(each + i / LOT * LOT, i % LOT + 1))
                usleep(20);
    }
    usleep(1000); /* a second answer would come about now */
    pthread_mutex_lock(&lock);
    int left = --job->threads, wrong = job->wrong;
    pthread_mutex_unlock(&lock);
    free(each);
    if (left == 0) {
        char text[32];
        snprintf(text, sizeof text, "%d wrong", wrong);
        answer_text(job->request, text);
        free(job);
    }
    return NULL;
}

/* --- methods to be called --- */

static void *later(void *with) {
    struct job *job = with;
    worker->reply(job->request, 0, job->data, job->len);
    free(job);
    return NULL;
}

/* Its own call's answer comes on the thread that gives it: from another than the library's it may call again. */
static void chain_end(void *to, int ret, const void *data, size_t len) {
    struct job *job = to;
    if (on_library_thread()) {
        char text[200];
        refused_call(text, sizeof text, "echo");
        answer_text(job->request, text);
        free(job);
    } else {
        (void)ret, (void)data, (void)len;
        worker->call("echo", "called again", 12, pass_on, job);
    }
}

static void *chain(void *with) {
    struct job *job = with;
    worker->call(job->method, "", 0, chain_end, job);
    return NULL;
}

static void twice(berth_request request) {
    int first = worker->reply(request, 0, "first", 5), second = worker->reply(request, 0, "second", 6);
    pthread_mutex_lock(&lock);
    snprintf(second_answer, sizeof second_answer, "%d %d", first, second);
    pthread_mutex_unlock(&lock);
}

static void progress(berth_request request) {
    char text[256] = {0}, codes[32];
    int first = worker->progress(request, "5000", 4), too_long = worker->progress(request, text, sizeof text);
    snprintf(codes, sizeof codes, "%d %d", first, too_long);
    answer_text(request, codes);
    if (worker->progress(request, "late", 4) != -1)
        abort();
}

static void big(berth_request request) {
    size_t len = ((size_t)16 << 20) + 1;
    char *bytes = calloc(1, len);
    worker->reply(request, 0, bytes, len);
    free(bytes);
}

static void places(berth_request request) {
    char text[400];
    pthread_mutex_lock(&lock);
    snprintf(text, sizeof text, "create: %s; destroy: %s; twice: %s", at_create, at_destroy, second_answer);
    pthread_mutex_unlock(&lock);
    answer_text(request, text);
}

/* "THREADS COUNT" */
static void begin_storm(struct job *job) {
    int threads = job->threads = atoi(job->method);
    job->count = atoi(job->data);
    for (int i = 0; i < threads; i++)
        in_thread(storm, job);
}

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    char text[200];
    struct job *job;
    (void)instance;
    switch (method) {
    case VIA: in_thread(via, job_of(request, data, len)); break;
    case WITHIN:
        keep(text, sizeof text, (const char *)data, len);
        refused_call(text + 64, sizeof text - 64, text);
        answer_text(request, text + 64);
        break;
    case START: /* "METHOD COUNT" */
        job = job_of(request, data, len);
        job->count = atoi(job->data);
        in_thread(start, job);
        break;
    case HAMMER:
        pthread_mutex_lock(&lock);
        hammers++;
        pthread_mutex_unlock(&lock);
        in_thread(hammer, NULL);
        answer_text(request, "");
        break;
    case STORM: begin_storm(job_of(request, data, len)); break;
    case CHAIN: in_thread(chain, job_of(request, data, len)); break;
    case TALLY: tally(request); break;
    case PLACES: places(request); break;
    case ECHO: worker->reply(request, 0, data, len); break;
    case WHERE: answer_text(request, on_library_thread() ? "on the library thread" : "elsewhere"); break;
    case TWICE: twice(request); break;
    case PROGRESS: progress(request); break;
    case BIG: big(request); break;
    case LATER:
        in_thread(later, whole(request, data, len));
        break;
    case NAP: usleep(300000); answer_text(request, "slept"); break;
    case HOLD: break; /* until it is cancelled */
    }
}

#ifndef DEAF
static void cancel(void *instance, berth_request request) {
    (void)instance;
    worker->reply(request, 1, "stopped", 7);
}
#endif

static int create(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size) {
    (void)config, (void)len, (void)why, (void)why_size;
    *instance = at_create;
    refused_call(at_create, sizeof at_create, "echo");
    return 0;
}

static void destroy(void *instance) {
    int left;
    (void)instance;
    refused_call(at_destroy, sizeof at_destroy, "echo");
    do {
        usleep(100);
        pthread_mutex_lock(&lock);
        left = hammers;
        pthread_mutex_unlock(&lock);
    } while (left);
}

static const struct berth_module module = {.abi = BERTH_MODULE_ABI,
                                           .size = sizeof module,
                                           .name = "caller",
                                           .version = "1",
                                           .method_count = sizeof methods / sizeof *methods,
                                           .methods = methods,
                                           .create = create,
                                           .destroy = destroy,
                                           .handle = handle,
#ifndef DEAF
                                           .cancel = cancel
#endif
};

__attribute__((visibility("default"))) const struct berth_module *berth_module(const struct berth_worker *given) {
    worker = given;
    return given->size >= offsetof(struct berth_worker, call) + sizeof given->call ? &module : NULL;
}
