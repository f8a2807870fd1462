/* Reader and writer of control messages, on libcbor's streaming decoder: no allocation, nothing kept. */
#include "control.h"

#include <cbor.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

#define KEY(name) (UINT64_C(1) << BERTH_KEY_##name)

const struct berth_control_shape berth_control_shapes[BERTH_MSG_TYPE_COUNT] = {
    [BERTH_MSG_HELLO] = {"hello", KEY(VERSION_MIN) | KEY(VERSION_MAX), KEY(NAME) | KEY(FEATURES), 0, 0},
    [BERTH_MSG_WELCOME] = {"welcome", KEY(VERSION) | KEY(NAME) | KEY(PID), KEY(FEATURES), 0, 0},
    [BERTH_MSG_REFUSED] = {"refused", KEY(SEQ) | KEY(RET) | KEY(TEXT), 0, 0, 0},
    [BERTH_MSG_OPEN] = {"open", KEY(SEQ) | KEY(MODULE),
                        KEY(TIMEOUT_MS) | KEY(CONTEXT) | KEY(ATTEMPT) | KEY(DESCRIPTORS) | KEY(FEATURES), 2, 3},
    [BERTH_MSG_OPENED] = {"opened",
                          KEY(SEQ) | KEY(CONTEXT) | KEY(TOKEN) | KEY(GENERATION) | KEY(PID) | KEY(METHODS) |
                              KEY(DRAIN_MS) | KEY(TEARDOWN_MS),
                          KEY(START_GRACE_MS), 1, 1},
    [BERTH_MSG_CLOSING] = {"closing", KEY(CONTEXT) | KEY(TIMEOUT_MS), 0, 0, 0},
    [BERTH_MSG_WORKER_DIED] = {"worker_died", KEY(CONTEXT) | KEY(PID) | KEY(USES),
                               KEY(SIGNAL) | KEY(STATUS) | KEY(LOG) | KEY(TEXT), 0, 0},
    [BERTH_MSG_STATUS] = {"status", KEY(SEQ), 0, 0, 0},
    [BERTH_MSG_STATUS_REPLY] = {"status_reply", KEY(SEQ), 0, 1, 1},
    [BERTH_MSG_READY] = {"ready", KEY(PID) | KEY(METHODS) | KEY(METHOD_NAMES) | KEY(MODULE_VERSION), KEY(FEATURES), 0,
                         0},
    [BERTH_MSG_LOAD_FAILED] = {"load_failed", KEY(TEXT), 0, 0, 0},
    [BERTH_MSG_LEASE] = {"lease", KEY(CONTEXT) | KEY(TOKEN) | KEY(GENERATION) | KEY(DRAIN_MS) | KEY(TEARDOWN_MS),
                         KEY(GATED) | KEY(MAX_EVENTS) | KEY(MAX_EVENT_BYTES) | KEY(STICKY) | KEY(ATTEMPT) |
                             KEY(DESCRIPTORS) | KEY(FEATURES), 3, 4},
    [BERTH_MSG_RECYCLED] = {"recycled", KEY(CONTEXT) | KEY(OUTCOME) | KEY(CUT_OFF), 0, 0, 0},
    [BERTH_MSG_RETIRE] = {"retire", 0, 0, 0, 0},
    [BERTH_MSG_HOST_BROKE] = {"host_broke", KEY(CONTEXT) | KEY(TEXT), 0, 0, 0},
    [BERTH_MSG_RECYCLE] = {"recycle", KEY(CONTEXT), KEY(WHY), 0, 0},
    [BERTH_MSG_COUNT] = {"count", KEY(CONTEXT), 0, 0, 0},
    [BERTH_MSG_COUNTED] = {"counted", KEY(CONTEXT) | KEY(IN_FLIGHT), 0, 0, 0},
    [BERTH_MSG_TEARDOWN] = {"teardown", KEY(CONTEXT), 0, 0, 0},
    [BERTH_MSG_RECYCLE_NOW] = {"recycle_now", KEY(CONTEXT), 0, 0, 0},
    [BERTH_MSG_CRASHES] = {"crashes", KEY(SEQ), 0, 0, 0},
    [BERTH_MSG_CRASHES_REPLY] = {"crashes_reply", KEY(SEQ), 0, 1, 1},
    [BERTH_MSG_RESET] = {"reset", KEY(SEQ) | KEY(MODULE), 0, 0, 0},
    [BERTH_MSG_RESET_DONE] = {"reset_done", KEY(SEQ), 0, 0, 0},
    [BERTH_MSG_REJOIN] = {"rejoin", KEY(SEQ) | KEY(CONTEXT) | KEY(TOKEN), 0, 0, 0},
    [BERTH_MSG_REJOINED] = {"rejoined", KEY(SEQ) | KEY(CONTEXT), 0, 0, 0},
    [BERTH_MSG_REJOIN_WORKER] = {"rejoin_worker",
                                 KEY(CONTEXT) | KEY(TOKEN) | KEY(GENERATION) | KEY(PID) | KEY(MODULE) |
                                     KEY(MODULE_VERSION) | KEY(METHODS) | KEY(DRAIN_MS) | KEY(TEARDOWN_MS) | KEY(PHASE),
                                 0, 1, 1},
    [BERTH_MSG_ADOPTED] = {"adopted", KEY(CONTEXT), 0, 1, 1},
    [BERTH_MSG_FORK] = {"fork", KEY(SEQ), 0, 4, 4},
    [BERTH_MSG_FORKED] = {"forked", KEY(SEQ) | KEY(PID), 0, 0, 0},
    [BERTH_MSG_NO_FORK] = {"no_fork", KEY(TEXT), 0, 0, 0},
};

const uint8_t berth_control_kinds[BERTH_KEY_COUNT] = {
    [BERTH_KEY_TYPE] = BERTH_FIELD_UINT,
    [BERTH_KEY_SEQ] = BERTH_FIELD_UINT,
    [BERTH_KEY_VERSION_MIN] = BERTH_FIELD_UINT,
    [BERTH_KEY_VERSION_MAX] = BERTH_FIELD_UINT,
    [BERTH_KEY_VERSION] = BERTH_FIELD_UINT,
    [BERTH_KEY_NAME] = BERTH_FIELD_TEXT,
    [BERTH_KEY_RET] = BERTH_FIELD_UINT,
    [BERTH_KEY_TEXT] = BERTH_FIELD_TEXT,
    [BERTH_KEY_MODULE] = BERTH_FIELD_TEXT,
    [BERTH_KEY_TIMEOUT_MS] = BERTH_FIELD_UINT,
    [BERTH_KEY_CONTEXT] = BERTH_FIELD_UINT,
    [BERTH_KEY_TOKEN] = BERTH_FIELD_BYTES,
    [BERTH_KEY_GENERATION] = BERTH_FIELD_UINT,
    [BERTH_KEY_PID] = BERTH_FIELD_UINT,
    [BERTH_KEY_METHODS] = BERTH_FIELD_BYTES,
    [BERTH_KEY_SIGNAL] = BERTH_FIELD_UINT,
    [BERTH_KEY_STATUS] = BERTH_FIELD_UINT,
    [BERTH_KEY_LOG] = BERTH_FIELD_TEXT,
    [BERTH_KEY_OUTCOME] = BERTH_FIELD_UINT,
    [BERTH_KEY_CUT_OFF] = BERTH_FIELD_UINT,
    [BERTH_KEY_MODULE_VERSION] = BERTH_FIELD_TEXT,
    [BERTH_KEY_METHOD_NAMES] = BERTH_FIELD_TEXT,
    [BERTH_KEY_DRAIN_MS] = BERTH_FIELD_UINT,
    [BERTH_KEY_TEARDOWN_MS] = BERTH_FIELD_UINT,
    [BERTH_KEY_USES] = BERTH_FIELD_UINT,
    [BERTH_KEY_IN_FLIGHT] = BERTH_FIELD_UINT,
    [BERTH_KEY_GATED] = BERTH_FIELD_UINT,
    [BERTH_KEY_START_GRACE_MS] = BERTH_FIELD_UINT,
    [BERTH_KEY_MAX_EVENTS] = BERTH_FIELD_UINT,
    [BERTH_KEY_MAX_EVENT_BYTES] = BERTH_FIELD_UINT,
    [BERTH_KEY_STICKY] = BERTH_FIELD_UINT,
    [BERTH_KEY_PHASE] = BERTH_FIELD_UINT,
    [BERTH_KEY_ATTEMPT] = BERTH_FIELD_UINT,
    [BERTH_KEY_DESCRIPTORS] = BERTH_FIELD_UINT,
    [BERTH_KEY_FEATURES] = BERTH_FIELD_UINT,
    [BERTH_KEY_WHY] = BERTH_FIELD_TEXT,
};

void berth_control_init(struct berth_control_message *message, uint32_t type) {
    memset(message, 0, sizeof *message);
    message->type = type;
}

void berth_control_set_uint(struct berth_control_message *message, uint32_t key, uint64_t number) {
    message->fields[key].kind = BERTH_FIELD_UINT;
    message->fields[key].number = number;
}

static void set_string(struct berth_control_message *message, uint32_t key, uint32_t kind, const void *data,
                       size_t len) {
    message->fields[key].kind = kind;
    message->fields[key].data = data;
    message->fields[key].len = len;
}

void berth_control_set_text(struct berth_control_message *message, uint32_t key, const char *text, size_t len) {
    set_string(message, key, BERTH_FIELD_TEXT, text, len);
}

void berth_control_set_bytes(struct berth_control_message *message, uint32_t key, const void *bytes, size_t len) {
    set_string(message, key, BERTH_FIELD_BYTES, bytes, len);
}

static uint64_t present_keys(const struct berth_control_message *message) {
    uint64_t present = 0;
    for (uint32_t key = 1; key < BERTH_KEY_COUNT; key++)
        if (message->fields[key].kind != BERTH_FIELD_ABSENT)
            present |= UINT64_C(1) << key;
    return present;
}

static const struct berth_control_shape *shape_of(uint64_t type) {
    if (type >= BERTH_MSG_TYPE_COUNT || !berth_control_shapes[type].name)
        return NULL;
    return &berth_control_shapes[type];
}

static uint32_t named_fds(const struct berth_control_message *message) {
    return (uint32_t)__builtin_popcountll(message->fields[BERTH_KEY_DESCRIPTORS].number);
}

int berth_control_needed_fds(const struct berth_control_message *message, uint32_t fds) {
    const struct berth_control_shape *shape = shape_of(message->type);
    uint32_t named = named_fds(message);
    if (!shape || fds > BERTH_CONTROL_MAX_FDS || fds < named || fds - named < shape->fds_min ||
        fds - named > shape->fds_max)
        return -EBADMSG;
    return (int)(fds - named);
}

struct sink {
    uint8_t *at;
    size_t left;
    int failed;
};

static void took(struct sink *sink, size_t written) {
    if (written == 0)
        sink->failed = 1;
    sink->at += written;
    sink->left -= written;
}

static void put_field(struct sink *sink, uint32_t key, const struct berth_control_field *field) {
    took(sink, cbor_encode_uint(key, sink->at, sink->left));
    if (field->kind == BERTH_FIELD_UINT) {
        took(sink, cbor_encode_uint(field->number, sink->at, sink->left));
        return;
    }
    if (field->kind == BERTH_FIELD_BYTES)
        took(sink, cbor_encode_bytestring_start(field->len, sink->at, sink->left));
    else
        took(sink, cbor_encode_string_start(field->len, sink->at, sink->left));
    if (sink->failed || field->len > sink->left) {
        sink->failed = 1;
        return;
    }
    if (field->len)
        memcpy(sink->at, field->data, field->len);
    sink->at += field->len;
    sink->left -= field->len;
}

long berth_control_encode(const struct berth_control_message *message, uint8_t *out, size_t capacity) {
    const struct berth_control_shape *shape = shape_of(message->type);
    uint64_t present = present_keys(message);
    if (!shape || (present & shape->required) != shape->required || (present & ~(shape->required | shape->optional)))
        return -EINVAL;
    struct sink sink = {out, capacity, 0};
    took(&sink, cbor_encode_map_start(1 + (size_t)__builtin_popcountll(present), sink.at, sink.left));
    took(&sink, cbor_encode_uint(BERTH_KEY_TYPE, sink.at, sink.left));
    took(&sink, cbor_encode_uint(message->type, sink.at, sink.left));
    for (uint32_t key = 1; key < BERTH_KEY_COUNT && !sink.failed; key++)
        if (present & (UINT64_C(1) << key))
            put_field(&sink, key, &message->fields[key]);
    return sink.failed ? -EMSGSIZE : (long)(sink.at - out);
}

/* What one step of the streaming decoder saw. */
struct item {
    enum { ITEM_OTHER, ITEM_UINT, ITEM_BYTES, ITEM_TEXT, ITEM_MAP } what;
    uint64_t number;
    const uint8_t *data;
    size_t len;
};

static void saw_uint8(void *context, uint8_t value) { *(struct item *)context = (struct item){ITEM_UINT, value, 0, 0}; }
static void saw_uint16(void *context, uint16_t value) {
    *(struct item *)context = (struct item){ITEM_UINT, value, 0, 0};
}
static void saw_uint32(void *context, uint32_t value) {
    *(struct item *)context = (struct item){ITEM_UINT, value, 0, 0};
}
static void saw_uint64(void *context, uint64_t value) {
    *(struct item *)context = (struct item){ITEM_UINT, value, 0, 0};
}
static void saw_bytes(void *context, cbor_data data, size_t len) {
    *(struct item *)context = (struct item){ITEM_BYTES, 0, data, len};
}
static void saw_text(void *context, cbor_data data, size_t len) {
    *(struct item *)context = (struct item){ITEM_TEXT, 0, data, len};
}
static void saw_map(void *context, size_t pairs) { *(struct item *)context = (struct item){ITEM_MAP, pairs, 0, 0}; }

struct reader {
    const uint8_t *packet;
    size_t len;
    size_t at;
};

static int next_item(struct reader *reader, struct item *item) {
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.uint8 = saw_uint8;
    callbacks.uint16 = saw_uint16;
    callbacks.uint32 = saw_uint32;
    callbacks.uint64 = saw_uint64;
    callbacks.byte_string = saw_bytes;
    callbacks.string = saw_text;
    callbacks.map_start = saw_map;
    *item = (struct item){ITEM_OTHER, 0, 0, 0};
    struct cbor_decoder_result result =
        cbor_stream_decode(reader->packet + reader->at, reader->len - reader->at, &callbacks, item);
    if (result.status != CBOR_DECODER_FINISHED)
        return -EBADMSG;
    reader->at += result.read;
    return 0;
}

__attribute__((format(printf, 3, 4))) static int bad(char *why, size_t why_size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
    return -EBADMSG;
}

static int take_field(struct berth_control_message *message, uint64_t key, const struct item *value, char *why,
                      size_t why_size) {
    static const uint32_t kind_of_item[] = {BERTH_FIELD_ABSENT, BERTH_FIELD_UINT, BERTH_FIELD_BYTES, BERTH_FIELD_TEXT,
                                            BERTH_FIELD_ABSENT};
    uint32_t kind = kind_of_item[value->what];
    if (kind == BERTH_FIELD_ABSENT)
        return bad(why, why_size, "key %llu: neither a number, bytes nor text", (unsigned long long)key);
    if (key >= BERTH_KEY_COUNT)
        return 0;
    struct berth_control_field *field = &message->fields[key];
    if (kind != berth_control_kinds[key])
        return bad(why, why_size, "key %llu has the wrong kind", (unsigned long long)key);
    if (field->kind != BERTH_FIELD_ABSENT)
        return bad(why, why_size, "key %llu stands twice", (unsigned long long)key);
    if (kind == BERTH_FIELD_TEXT && !berth_utf8_valid(value->data, value->len))
        return bad(why, why_size, "key %llu is not UTF-8", (unsigned long long)key);
    field->kind = kind;
    field->number = value->number;
    field->data = value->data;
    field->len = value->len;
    return 0;
}

static int wrong_fds(const struct berth_control_shape *shape, uint32_t fds, uint32_t named, char *why,
                     size_t why_size) {
    uint32_t least = shape->fds_min + named, most = shape->fds_max + named;
    if (most > BERTH_CONTROL_MAX_FDS)
        most = BERTH_CONTROL_MAX_FDS;
    if (least > most)
        return bad(why, why_size, "%s names %u more descriptors: too many", shape->name, named);
    if (least == most)
        return bad(why, why_size, "%s came with %u descriptors, not %u", shape->name, fds, least);
    return bad(why, why_size, "%s came with %u descriptors, not %u to %u", shape->name, fds, least, most);
}

int berth_control_decode(const uint8_t *packet, size_t len, uint32_t fds, struct berth_control_message *message,
                         char *why, size_t why_size) {
    struct reader reader = {packet, len, 0};
    struct item item;
    berth_control_init(message, 0);
    if (len > BERTH_CONTROL_MAX_PACKET)
        return bad(why, why_size, "a packet of %zu bytes", len);
    if (next_item(&reader, &item) || item.what != ITEM_MAP || item.number > 2 * BERTH_KEY_COUNT)
        return bad(why, why_size, "byte 0: not a small CBOR map");
    uint64_t pairs = item.number;
    for (uint64_t i = 0; i < pairs; i++) {
        size_t at = reader.at;
        if (next_item(&reader, &item) || item.what != ITEM_UINT)
            return bad(why, why_size, "byte %zu: not a key", at);
        uint64_t key = item.number;
        at = reader.at;
        if (next_item(&reader, &item))
            return bad(why, why_size, "byte %zu: value cut short", at);
        int rc = take_field(message, key, &item, why, why_size);
        if (rc)
            return rc;
    }
    if (reader.at != len)
        return bad(why, why_size, "byte %zu: more after the map", reader.at);
    struct berth_control_field *type = &message->fields[BERTH_KEY_TYPE];
    const struct berth_control_shape *shape = type->kind ? shape_of(type->number) : NULL;
    if (!shape)
        return bad(why, why_size, "unknown message type %lld", type->kind ? (long long)type->number : -1);
    message->type = (uint32_t)type->number;
    type->kind = BERTH_FIELD_ABSENT;
    uint64_t missing = shape->required & ~present_keys(message);
    if (missing)
        return bad(why, why_size, "%s lacks key %d", shape->name, __builtin_ctzll(missing));
    uint64_t extra = present_keys(message) & ~(shape->required | shape->optional);
    if (extra)
        return bad(why, why_size, "%s may not have key %d", shape->name, __builtin_ctzll(extra));
    if (berth_control_needed_fds(message, fds) < 0)
        return wrong_fds(shape, fds, named_fds(message), why, why_size);
    if (message->fields[BERTH_KEY_TOKEN].kind && message->fields[BERTH_KEY_TOKEN].len != BERTH_TOKEN_SIZE)
        return bad(why, why_size, "key %d: a token has 16 bytes", BERTH_KEY_TOKEN);
    if (message->fields[BERTH_KEY_METHODS].len % 4)
        return bad(why, why_size, "key %d: not a list of 4-byte ids", BERTH_KEY_METHODS);
    return 0;
}
