/* The control protocol: one CBOR map per SOCK_SEQPACKET packet, file descriptors beside it.
 *
 * control.cddl is the specification, control.md its prose (order of messages, limits, versions); this header is its
 * only form in code, and control_codec.c the only reader and writer. Numbers are append-only.
 *
 * A message is a flat map: key 0 is the type, the other keys are fields. Each type has a row in
 * berth_control_shapes: which fields it must and may have, and how many descriptors travel with it. One that may have
 * DESCRIPTORS may bring more: as many as that has bits. */
#ifndef BERTH_PROTO_CONTROL_H
#define BERTH_PROTO_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_CONTROL_VERSION_MIN 1u
#define BERTH_CONTROL_VERSION_MAX 3u
#define BERTH_CONTROL_MAX_PACKET 65536u /* larger bodies (status, crashes) travel as a sealed memfd */
#define BERTH_CONTROL_MAX_FDS 8u
#define BERTH_TOKEN_SIZE 16u

enum berth_control_type {
    BERTH_MSG_HELLO = 1,         /* host → supervisor, first */
    BERTH_MSG_WELCOME = 2,       /* supervisor → host */
    BERTH_MSG_REFUSED = 3,       /* supervisor → host: the request with this seq failed */
    BERTH_MSG_OPEN = 4,          /* host → supervisor; fds: segment, wake socket (version 1, 2: two eventfds) */
    BERTH_MSG_OPENED = 5,        /* supervisor → host; fd: the worker's pidfd */
    BERTH_MSG_CLOSING = 6,       /* host → supervisor: the lease ends; take the worker back by the bound */
    BERTH_MSG_WORKER_DIED = 7,   /* supervisor → host */
    BERTH_MSG_STATUS = 8,        /* host → supervisor */
    BERTH_MSG_STATUS_REPLY = 9,  /* supervisor → host; fd: memfd with one CBOR map */
    BERTH_MSG_READY = 10,        /* worker → supervisor: module loaded */
    BERTH_MSG_LOAD_FAILED = 11,  /* worker → supervisor: module cannot be used */
    BERTH_MSG_LEASE = 12,        /* supervisor → worker; fds: those of open, then the host's pidfd */
    BERTH_MSG_RECYCLED = 13,     /* worker → supervisor: the context is gone */
    BERTH_MSG_RETIRE = 14,       /* supervisor → worker: exit */
    BERTH_MSG_HOST_BROKE = 15,   /* worker → supervisor: the host's segment or frames cannot be */
    BERTH_MSG_RECYCLE = 16,      /* supervisor → worker: the lease is over (its host is gone): recycle */
    BERTH_MSG_COUNT = 17,        /* supervisor → worker: how many requests are in flight? */
    BERTH_MSG_COUNTED = 18,      /* worker → supervisor */
    BERTH_MSG_TEARDOWN = 19,     /* worker → supervisor: the library's instance is about to be destroyed */
    BERTH_MSG_RECYCLE_NOW = 20,  /* supervisor → worker: a gated teardown may begin */
    BERTH_MSG_CRASHES = 21,      /* host → supervisor: which workers crashed? */
    BERTH_MSG_CRASHES_REPLY = 22, /* supervisor → host; fd: memfd with one CBOR array */
    BERTH_MSG_RESET = 23,        /* host → supervisor: forget a module's crashes, and its quarantine */
    BERTH_MSG_RESET_DONE = 24,   /* supervisor → host */
    BERTH_MSG_REJOIN = 25,       /* host → supervisor, version 2: a context that an earlier supervisor opened */
    BERTH_MSG_REJOINED = 26,     /* supervisor → host */
    BERTH_MSG_REJOIN_WORKER = 27, /* worker → supervisor, first on a new connection; fd: its host's pidfd */
    BERTH_MSG_ADOPTED = 28,      /* supervisor → worker; fd: a pipe for what it logs */
    BERTH_MSG_FORK = 29,         /* supervisor → zygote; fds: a worker's control socket, stdout, stderr, crash area */
    BERTH_MSG_FORKED = 30,       /* zygote → supervisor */
    BERTH_MSG_NO_FORK = 31,      /* zygote → supervisor: it cannot fork, and why; it exits */
    BERTH_MSG_TYPE_COUNT = 32
};

enum berth_control_key {
    BERTH_KEY_TYPE = 0,
    BERTH_KEY_SEQ = 1,          /* uint: pairs a request with its answer */
    BERTH_KEY_VERSION_MIN = 2,  /* uint */
    BERTH_KEY_VERSION_MAX = 3,  /* uint */
    BERTH_KEY_VERSION = 4,      /* uint */
    BERTH_KEY_NAME = 5,         /* text: who speaks (hello, welcome) */
    BERTH_KEY_RET = 6,          /* uint: berth_ret */
    BERTH_KEY_TEXT = 7,         /* text: for people */
    BERTH_KEY_MODULE = 8,       /* text */
    BERTH_KEY_TIMEOUT_MS = 9,   /* uint */
    BERTH_KEY_CONTEXT = 10,     /* uint: the supervisor's id of the context, never reused by it */
    BERTH_KEY_TOKEN = 11,       /* bytes: the lease's token, 16 random bytes */
    BERTH_KEY_GENERATION = 12,  /* uint: leases that this worker has had, this one included */
    BERTH_KEY_PID = 13,         /* uint */
    BERTH_KEY_METHODS = 14,     /* bytes: method ids, 4 bytes each, machine order */
    BERTH_KEY_SIGNAL = 15,      /* uint */
    BERTH_KEY_STATUS = 16,      /* uint: exit status */
    BERTH_KEY_LOG = 17,         /* text: the last lines it logged */
    BERTH_KEY_OUTCOME = 18,     /* uint: berth_outcome */
    BERTH_KEY_CUT_OFF = 19,     /* uint: requests answered RECYCLED */
    BERTH_KEY_MODULE_VERSION = 20, /* text */
    BERTH_KEY_METHOD_NAMES = 21,   /* text: names, a newline between */
    BERTH_KEY_DRAIN_MS = 22,    /* uint */
    BERTH_KEY_TEARDOWN_MS = 23, /* uint */
    BERTH_KEY_USES = 24,        /* uint: contexts that this worker has served */
    BERTH_KEY_IN_FLIGHT = 25,   /* uint: requests sent and not answered */
    BERTH_KEY_GATED = 26,       /* uint: 1 when a teardown waits for recycle-now */
    BERTH_KEY_START_GRACE_MS = 27, /* uint */
    BERTH_KEY_MAX_EVENTS = 28,  /* uint: events queued for the host */
    BERTH_KEY_MAX_EVENT_BYTES = 29, /* uint: their bytes */
    BERTH_KEY_STICKY = 30,      /* uint: 1 when an event overflow is for good */
    BERTH_KEY_PHASE = 31,       /* uint: 0 the context serves, 1 it is being closed */
    BERTH_KEY_ATTEMPT = 32,     /* uint: which asking for a worker this is; the segment's lease_claim has the same */
    BERTH_KEY_DESCRIPTORS = 33, /* uint, bits of berth_descriptor: which follow those that must be there */
    BERTH_KEY_FEATURES = 34,    /* uint, bits: what the sender understands; none is given out yet */
    BERTH_KEY_WHY = 35,         /* text, for the host: why its context is ended */
    BERTH_KEY_COUNT = 36
};

/* Descriptors that a message may bring, in the order of their bits. A receiver closes those that it does not know. */
enum berth_descriptor {
    BERTH_DESCRIPTOR_CWD = 1,          /* the host's working directory, O_PATH; of a later time, as those below */
    BERTH_DESCRIPTOR_HOST_STATS = 2,   /* the host's page of counters */
    BERTH_DESCRIPTOR_WORKER_STATS = 4  /* the worker's */
};

enum berth_control_kind { BERTH_FIELD_ABSENT = 0, BERTH_FIELD_UINT = 1, BERTH_FIELD_BYTES = 2, BERTH_FIELD_TEXT = 3 };

struct berth_control_field {
    uint32_t kind; /* enum berth_control_kind */
    uint64_t number;
    const uint8_t *data; /* bytes and text: into the packet when decoded, the caller's own when encoding */
    size_t len;
};

struct berth_control_message {
    uint32_t type;
    struct berth_control_field fields[BERTH_KEY_COUNT];
};

struct berth_control_shape {
    const char *name;
    uint64_t required; /* bit k: key k */
    uint64_t optional;
    uint32_t fds_min, fds_max; /* without those that DESCRIPTORS names */
};
extern const struct berth_control_shape berth_control_shapes[BERTH_MSG_TYPE_COUNT];
extern const uint8_t berth_control_kinds[BERTH_KEY_COUNT];

void berth_control_init(struct berth_control_message *message, uint32_t type);
void berth_control_set_uint(struct berth_control_message *message, uint32_t key, uint64_t number);
void berth_control_set_text(struct berth_control_message *message, uint32_t key, const char *text, size_t len);
void berth_control_set_bytes(struct berth_control_message *message, uint32_t key, const void *bytes, size_t len);

/* How many of `fds` descriptors, which came or are to go with this message, are those that it must have: its first. The
 * rest is what DESCRIPTORS names. -EBADMSG: so many cannot be. */
int berth_control_needed_fds(const struct berth_control_message *message, uint32_t fds);

/* Bytes written to `out`, or -EMSGSIZE when it does not fit, -EINVAL when the message lacks a required field. */
long berth_control_encode(const struct berth_control_message *message, uint8_t *out, size_t capacity);

/* Reads one packet that came with `fds` descriptors. The fields point into `packet`. 0, or -EBADMSG with one line in
 * `why` (never NULL, never longer than `why_size`) that says what is wrong and at which byte or key. Unknown keys are
 * skipped (a later minor version may add them); unknown types, wrong kinds, repeated or missing keys, broken UTF-8,
 * trailing bytes and a wrong number of descriptors are errors. */
int berth_control_decode(const uint8_t *packet, size_t len, uint32_t fds, struct berth_control_message *message,
                         char *why, size_t why_size);

/* A method's id is the FNV-1a hash of its name: known without asking, the same on every worker. */
static inline uint32_t berth_method_id(const char *name, size_t len) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash;
}

#ifdef __cplusplus
}
#endif
#endif
