#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "record.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint32_t order;
static sigset_t mask;

/* Bytes that were told, kept until the program ends: a record may be looked at whenever. */
static struct bytes {
    struct bytes *next;
    char data[];
} *kept;

__attribute__((destructor)) static void free_kept(void) {
    while (kept) {
        struct bytes *first = kept;
        kept = first->next;
        free(first);
    }
}

/* With the lock. */
static char *keep(const char *data, size_t len) {
    struct bytes *bytes = malloc(sizeof *bytes + len + 1);
    bytes->next = kept;
    kept = bytes;
    if (len)
        memcpy(bytes->data, data, len);
    return bytes->data;
}

void remember_mask(void) { pthread_sigmask(SIG_BLOCK, NULL, &mask); }

static bool mask_is_ours(void) {
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    for (int signal = 1; signal < 32; signal++)
        if (sigismember(&now, signal) != sigismember(&mask, signal))
            return false;
    return true;
}

void on_told(int code, const char *data, size_t len, void *user_data) {
    struct record *record = user_data;
    pthread_mutex_lock(&lock);
    if (record->count < TOLD_MOST)
        record->told[record->count] = (struct told){
            .code = code,
            .on_caller = !record->returned_yet && pthread_equal(record->caller, pthread_self()),
            .mask_ok = mask_is_ours(),
            .order = ++order,
            .len = len,
            .data = keep(data, len)};
    record->count++;
    pthread_mutex_unlock(&lock);
    if (record->inside)
        record->inside(record);
    pthread_mutex_lock(&lock);
    record->terminal += code != RET_STALE_WARN;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void begin(struct record *record) { record->caller = pthread_self(); }

void returned(struct record *record, int code) {
    pthread_mutex_lock(&lock);
    record->returned = code;
    record->returned_yet = true;
    pthread_mutex_unlock(&lock);
}

void wait_terminal(struct record *record, int terminal) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&lock);
    while (record->terminal < terminal)
        if (pthread_cond_timedwait(&changed, &lock, &until) == ETIMEDOUT)
            fail_host("%s: %d of %d callbacks after 60 s", record->name, record->terminal, terminal);
    pthread_mutex_unlock(&lock);
}

static void print_bytes(const struct record *record, const struct told *told) {
    if (record->address && told->code == RET_OK && told->len == strlen(record->address) &&
        memcmp(told->data, record->address, told->len) == 0) {
        printf("<address>");
    } else if (record->text_varies && told->code == RET_ERR && told->len > 0) {
        printf("<text>");
    } else if (told->len > 200) {
        uint32_t sum = 0;
        for (size_t i = 0; i < told->len; i++)
            sum = sum * 31 + (uint8_t)told->data[i];
        printf("%zu bytes, sum %08x", told->len, sum);
    } else {
        for (size_t i = 0; i < told->len; i++)
            printf(told->data[i] > ' ' && told->data[i] < 127 ? "%c" : "\\%02x", (uint8_t)told->data[i]);
    }
}

void print_record(struct record *record) {
    pthread_mutex_lock(&lock);
    printf("%s: returned %d", record->name, record->returned);
    for (int i = 0; i < record->count && i < TOLD_MOST; i++) {
        struct told *told = &record->told[i];
        printf("; %d [", told->code);
        print_bytes(record, told);
        printf("]%s%s", told->on_caller ? " before it returned" : "", told->mask_ok ? "" : " WITH ANOTHER SIGNAL MASK");
    }
    printf("\n");
    pthread_mutex_unlock(&lock);
    fflush(stdout);
}

void say(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    printf("\n");
    fflush(stdout);
}

void fail_host(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fprintf(stderr, "the host fails: ");
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n");
    _Exit(9);
}
