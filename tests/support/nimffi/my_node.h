/* A fixture that speaks the older, JSON generation's ABI: C strings and integers behind callback and user data, raw
 * text in answers, one callback for all events. Its runtime does not start itself: libmy_nodeNimMain comes first.
 *
 *   new         config {"name": "…"}; "fail" anywhere in it: RET_ERR. The answer is empty
 *   start, stop → empty; start twice is an error
 *   version     → my_node v0.2.0
 *   publish     → {"topic":TOPIC,"message":MESSAGE,"timeoutMs":N}; event {"eventType":"message","topic":TOPIC}
 *                 MESSAGE is JSON, passed on as it is
 *   sum         → the numbers in decimal, separated by spaces; the double with %.17g
 *   wait        → empty, after so many milliseconds; occupies nothing
 *   fail        → RET_ERR with the text
 *   crash       ends the process by SIGSEGV
 *   globals     → how many nodes this process has had, in decimal: a module global */
#ifndef MY_NODE_H
#define MY_NODE_H

#include <stdbool.h>

#include "nimffi.h"

void *my_node_new(const char *config_json, FFICallback cb, void *ud);
int my_node_start(void *ctx, FFICallback cb, void *ud);
int my_node_stop(void *ctx, FFICallback cb, void *ud);
int my_node_destroy(void *ctx, FFICallback cb, void *ud);
int my_node_version(void *ctx, FFICallback cb, void *ud);
int my_node_publish(void *ctx, FFICallback cb, void *ud, const char *topic, const char *message, unsigned timeout_ms);
int my_node_sum(void *ctx, FFICallback cb, void *ud, int a, unsigned b, int64_t c, uint64_t d, bool e, double f);
int my_node_wait(void *ctx, FFICallback cb, void *ud, unsigned ms);
int my_node_fail(void *ctx, FFICallback cb, void *ud, const char *text);
int my_node_crash(void *ctx, FFICallback cb, void *ud);
int my_node_globals(void *ctx, FFICallback cb, void *ud);
void set_event_callback(void *ctx, FFICallback cb, void *ud);
void libmy_nodeNimMain(void);
void libmy_nodeNimDestroyGlobals(void);

#endif
