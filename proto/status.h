/* Texts that hosts compare or print, each in one place. */
#ifndef BERTH_PROTO_STATUS_H
#define BERTH_PROTO_STATUS_H

#define BERTH_TEXT_UNKNOWN_ERROR "unknown error"
#define BERTH_TEXT_NOT_ACCEPTING "FFI context is not accepting requests (being recycled)"
#define BERTH_TEXT_ALREADY_RECYCLING "requestRecycle: context is not Active (already recycling)"
#define BERTH_TEXT_NOT_IMPLEMENTED "This request type is not implemented: "
#define BERTH_TEXT_CUT_OFF "the context was recycled before the request was answered"
#define BERTH_TEXT_CALLED_BACK "the supervisor has called the context back"
#define BERTH_TEXT_SUPERVISOR_GONE "the supervisor is gone"
#define BERTH_TEXT_OPEN_LATE "the open was not answered before its deadline"
#define BERTH_TEXT_CANCELLED "the request was cancelled"
#define BERTH_TEXT_EVENTS_STUCK "event queue stuck - library cannot accept new requests"
#define BERTH_TEXT_TIMEOUT "no answer before the deadline"
#define BERTH_TEXT_REQUEST_TOO_LARGE "the request is larger than 16 MiB"
#define BERTH_TEXT_ANSWER_TOO_LARGE "the answer is larger than 16 MiB"
#define BERTH_TEXT_UNREAD "more than 256 MiB of the context's answers are unread"
#define BERTH_TEXT_REENTRANT "reentrant ffi call: a handler invoked sendRequestToFFIThread on its own context"

#define BERTH_DRAIN_TIMEOUT_MS 1500u
#define BERTH_TEARDOWN_TIMEOUT_MS 10000u
#define BERTH_STALE_WARN_MS 5000u
#define BERTH_DEFAULT_IN_FLIGHT 1024u

#endif
