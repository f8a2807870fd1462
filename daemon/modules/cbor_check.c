/* libcbor 0.8's cbor_load allocates what an array or map declares before it has seen the elements (8 bytes and more
 * for each), so five hostile bytes could ask for 32 GiB; and cbor_decref recurses once per level, with a bound that
 * each build of libcbor chooses. This walk allocates nothing, keeps a stack of its own, and passes only input that
 * really holds every element it declares, at most 64 levels deep. It also checks what libcbor does not: that text is
 * UTF-8. */
#include "cbor_check.h"

enum { UINT = 0, NEGINT = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6, SIMPLE = 7 };
enum { INFO_ONE_BYTE = 24, INFO_EIGHT_BYTES = 27, INFO_INDEFINITE = 31, FIRST_ASSIGNED_SIMPLE = 20 };

static const char cut_short[] = "it is cut short";
static const char not_cbor[] = "a byte that CBOR does not define";

struct level {
    uint64_t left; /* items to come; of an indefinite one, how many came */
    uint8_t major;
    bool indefinite;
};

struct walk {
    const uint8_t *at;
    const uint8_t *end;
    size_t depth;
    struct level levels[BERTH_CBOR_MAX_DEPTH];
};

struct head {
    uint8_t major;
    uint8_t info;
    uint64_t value;
};

static const char *read_head(struct walk *walk, struct head *head) {
    if (walk->at == walk->end)
        return cut_short;
    uint8_t first = *walk->at++;
    *head = (struct head){.major = first >> 5, .info = first & 31, .value = first & 31};
    if (head->info < INFO_ONE_BYTE || head->info == INFO_INDEFINITE)
        return NULL;
    if (head->info > INFO_EIGHT_BYTES)
        return not_cbor;
    size_t width = (size_t)1 << (head->info - INFO_ONE_BYTE);
    if ((size_t)(walk->end - walk->at) < width)
        return cut_short;
    head->value = 0;
    while (width-- > 0)
        head->value = head->value << 8 | *walk->at++;
    return NULL;
}

static const char *push(struct walk *walk, struct level level) {
    if (walk->depth == BERTH_CBOR_MAX_DEPTH)
        return "nested deeper than 64 levels";
    walk->levels[walk->depth++] = level;
    return NULL;
}

/* One item is complete: so may be the ones around it. */
static void complete(struct walk *walk) {
    while (walk->depth > 0) {
        struct level *level = &walk->levels[walk->depth - 1];
        if (level->indefinite) {
            level->left++;
            return;
        }
        if (--level->left > 0)
            return;
        walk->depth--;
    }
}

static const char *walk_string(struct walk *walk, const struct head *head) {
    if (head->value > (uint64_t)(walk->end - walk->at))
        return cut_short;
    if (head->major == TEXT && !berth_utf8_valid(walk->at, (size_t)head->value))
        return "text that is not UTF-8";
    walk->at += head->value;
    complete(walk);
    return NULL;
}

static const char *walk_container(struct walk *walk, const struct head *head) {
    uint64_t room = (uint64_t)(walk->end - walk->at) / (head->major == MAP ? 2 : 1);
    if (head->value > room) /* also keeps 2 * value from overflowing */
        return cut_short;
    uint64_t items = head->major == MAP ? 2 * head->value : head->value;
    if (items > 0)
        return push(walk, (struct level){.left = items, .major = head->major});
    complete(walk);
    return NULL;
}

static const char *walk_break(struct walk *walk) {
    struct level *level = walk->depth > 0 ? &walk->levels[walk->depth - 1] : NULL;
    if (!level || !level->indefinite)
        return "a break outside of an indefinite item";
    if (level->major == MAP && level->left % 2 != 0)
        return "a map key without its value";
    walk->depth--;
    complete(walk);
    return NULL;
}

static const char *walk_simple(struct walk *walk, const struct head *head) {
    if (head->info == INFO_INDEFINITE)
        return walk_break(walk);
    if (head->info < FIRST_ASSIGNED_SIMPLE || head->info == INFO_ONE_BYTE)
        return not_cbor;
    complete(walk);
    return NULL;
}

static const char *walk_indefinite(struct walk *walk, const struct head *head) {
    if (head->major < BYTES || head->major == TAG)
        return not_cbor;
    return push(walk, (struct level){.major = head->major, .indefinite = true});
}

/* Chunks of a string are strings of the same type, themselves whole. */
static bool chunk_allowed(const struct walk *walk, const struct head *head) {
    const struct level *level = walk->depth > 0 ? &walk->levels[walk->depth - 1] : NULL;
    if (!level || level->major == ARRAY || level->major == MAP || level->major == TAG)
        return true;
    if (head->major == SIMPLE)
        return head->info == INFO_INDEFINITE;
    return head->major == level->major && head->info != INFO_INDEFINITE;
}

static const char *walk_item(struct walk *walk) {
    struct head head;
    const char *wrong = read_head(walk, &head);
    if (wrong)
        return wrong;
    if (!chunk_allowed(walk, &head))
        return "a string with a chunk of another type";
    if (head.major == SIMPLE)
        return walk_simple(walk, &head);
    if (head.info == INFO_INDEFINITE)
        return walk_indefinite(walk, &head);
    if (head.major == BYTES || head.major == TEXT)
        return walk_string(walk, &head);
    if (head.major == ARRAY || head.major == MAP)
        return walk_container(walk, &head);
    if (head.major == TAG)
        return push(walk, (struct level){.left = 1, .major = TAG});
    complete(walk);
    return NULL;
}

const char *berth_cbor_check(const uint8_t *data, size_t len) {
    if (len == 0)
        return "it is empty";
    struct walk walk = {.at = data, .end = data + len};
    do {
        const char *wrong = walk_item(&walk);
        if (wrong)
            return wrong;
    } while (walk.depth > 0);
    return walk.at == walk.end ? NULL : "bytes after its end";
}

/* Bytes that follow a first byte, or -1; *low and *high bound the second (no overlong forms, no surrogates). */
static int utf8_tail(uint8_t first, uint8_t *low, uint8_t *high) {
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef)
        return 2;
    return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

bool berth_utf8_valid(const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len;) {
        uint8_t low, high;
        if (data[i] < 0x80) {
            i++;
            continue;
        }
        int tail = utf8_tail(data[i++], &low, &high);
        if (tail < 0 || len - i < (size_t)tail || data[i] < low || data[i] > high)
            return false;
        for (int k = 1; k < tail; k++)
            if ((data[i + (size_t)k] & 0xc0) != 0x80)
                return false;
        i += (size_t)tail;
    }
    return true;
}
