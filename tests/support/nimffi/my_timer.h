/* A fixture that speaks the CBOR generation's ABI. Built twice: with the asynchronous destroy of three arguments, and
 * (MY_TIMER_BLOCKING) with the blocking one of one argument.
 *
 * Requests are maps keyed by parameter name; `{}` where there is none.
 *
 *   create      {"config": {"name": text, "exclusive"?: bool, "fail"?: text, "mute"?: bool}}
 *                 exclusive: keeps a module global, so that a second one in the process fails; fail: RET_ERR with this
 *                 text; mute: the constructor's callback never comes
 *   echo        {"req": {"message": text, "delayMs": uint}} → {"echoed": text, "timerName": text}
 *                 event on_echo_fired {"message": text, "echoCount": uint}; the delay occupies nothing
 *   version     {} → text
 *   bytes       {"size": uint} → byte string
 *   nothing     {} → null
 *   fail        {"text": text} → RET_ERR with the text
 *   emit        {"name": text, "count": uint} → null; events {"n": 0 …}
 *   environment {} → {"runtimeStarts": uint, "sameThread": bool, "contexts": uint, "pid": uint}
 *                 sameThread: NimMain ran on the thread that created this context
 *   misbehave   {"how": text}: "crash", "exit", "double" (two callbacks), "mute" (none), "stale" (two RET_STALE_WARN,
 *                 then the answer), "parts" (the same with parts of a result and one time among them),
 *                 "late_stale" (the answer, then RET_STALE_WARN), "print" (on stdout and stderr),
 *                 "empty_error" (RET_ERR without text)
 *   block       {"ms": uint} → null; occupies the library's thread
 *   build_info  (context-free) {} → text
 *
 * The runtime takes over SIGINT, SIGPIPE and SIGSEGV in the process that loads it, as one built without care does. */
#ifndef MY_TIMER_H
#define MY_TIMER_H

#include "nimffi.h"

void *my_timer_create(const uint8_t *req, size_t len, FFICallback cb, void *ud);
#ifdef MY_TIMER_BLOCKING
int my_timer_destroy(void *ctx);
#else
int my_timer_destroy(void *ctx, FFICallback cb, void *ud);
#endif
int my_timer_echo(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_version(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_bytes(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_nothing(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_fail(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_emit(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_environment(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_misbehave(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_block(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
int my_timer_build_info(FFICallback cb, void *ud, const uint8_t *req, size_t len);
uint64_t my_timer_add_event_listener(void *ctx, const char *event, FFICallback cb, void *ud);
int my_timer_remove_event_listener(void *ctx, uint64_t id);
void libmy_timerNimMain(void);
void libmy_timerNimDestroyGlobals(void);

#endif
