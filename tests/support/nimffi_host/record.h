/* What the host programs against nim-ffi's ABI share: a record of what each call was told, printed in one form. */
#ifndef NIMFFI_HOST_H
#define NIMFFI_HOST_H

#include <pthread.h>
#include <stdbool.h>

#include "cbor_out.h"
#include "nimffi.h"

#define TOLD_MOST 64

/* One callback. */
struct told {
    int code;
    bool on_caller; /* on the thread that called, before the call returned */
    bool mask_ok;   /* with the signal mask that was remembered: its maker's */
    uint32_t order; /* of all callbacks of the program */
    size_t len;
    char *data;
};

/* One call, and what it was told; user_data of its callbacks. */
struct record {
    const char *name;
    int returned;
    pthread_t caller;
    bool returned_yet;
    bool text_varies; /* the text of an error is the implementation's own */
    const char *address; /* what is printed as <address> */
    void (*inside)(struct record *record); /* runs in the callback */
    void *inside_of;
    int count, terminal;
    struct told told[TOLD_MOST];
};

#define RECORD(label) {.name = label}

/* The callback. */
void on_told(int code, const char *data, size_t len, void *record);
void begin(struct record *record);
void returned(struct record *record, int code);
/* Waits for so many callbacks that end something; 60 s at most, and then the program ends with a message. */
void wait_terminal(struct record *record, int terminal);
/* Prints it in one line. */
void print_record(struct record *record);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the program: this cannot be. */
void fail_host(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void remember_mask(void);

#endif
