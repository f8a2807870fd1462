// Any bytes as a control packet. What is accepted must survive encode and decode unchanged.
// Input: descriptor count, size of the `why` buffer, packet.
#include <cerrno>
#include <memory>

#include "control.h"
#include "fuzz.h"

namespace {

void check_same(const berth_control_message &a, const berth_control_message &b) {
    MUST(a.type == b.type);
    for (int key = 0; key < BERTH_KEY_COUNT; key++) {
        const auto &x = a.fields[key], &y = b.fields[key];
        MUST(x.kind == y.kind && x.len == y.len && x.number == y.number);
        MUST(x.len == 0 || std::memcmp(x.data, y.data, x.len) == 0);
    }
}

void check_shape(const berth_control_message &message, uint32_t fds, const uint8_t *packet, size_t len) {
    MUST(message.type < BERTH_MSG_TYPE_COUNT);
    const auto &shape = berth_control_shapes[message.type];
    uint32_t named = static_cast<uint32_t>(__builtin_popcountll(message.fields[BERTH_KEY_DESCRIPTORS].number));
    int needed = berth_control_needed_fds(&message, fds);
    MUST(shape.name && fds <= BERTH_CONTROL_MAX_FDS && needed >= 0);
    MUST(static_cast<uint32_t>(needed) >= shape.fds_min && static_cast<uint32_t>(needed) <= shape.fds_max);
    MUST(static_cast<uint32_t>(needed) + named == fds);
    for (uint32_t key = 0; key < BERTH_KEY_COUNT; key++) {
        const auto &field = message.fields[key];
        bool present = field.kind != BERTH_FIELD_ABSENT;
        MUST(present || !(shape.required >> key & 1));
        MUST(!present || ((shape.required | shape.optional) >> key & 1));
        MUST(!present || field.kind == berth_control_kinds[key]);
        MUST(!field.len || (field.data >= packet && field.len <= len - static_cast<size_t>(field.data - packet)));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input input(data, size);
    auto fds = static_cast<uint32_t>(input.number(1) % 16);
    size_t why_size = 1 + input.number(1) % 160;
    auto why = std::make_unique<char[]>(why_size);
    size_t len = input.left();
    auto packet = std::make_unique<uint8_t[]>(len);
    input.take(packet.get(), len);
    std::memset(why.get(), 'x', why_size);

    berth_control_message message, again;
    int rc = berth_control_decode(packet.get(), len, fds, &message, why.get(), why_size);
    if (rc != 0) {
        MUST(rc == -EBADMSG);
        MUST(std::memchr(why.get(), 0, why_size));
        MUST(why_size == 1 || why[0] != 0);
        return 0;
    }
    check_shape(message, fds, packet.get(), len);

    auto out = std::make_unique<uint8_t[]>(BERTH_CONTROL_MAX_PACKET);
    long written = berth_control_encode(&message, out.get(), BERTH_CONTROL_MAX_PACKET);
    MUST(written > 0);
    auto exact = std::make_unique<uint8_t[]>(static_cast<size_t>(written));
    MUST(berth_control_encode(&message, exact.get(), static_cast<size_t>(written)) == written);
    MUST(berth_control_encode(&message, out.get(), static_cast<size_t>(written) - 1) == -EMSGSIZE);
    rc = berth_control_decode(exact.get(), static_cast<size_t>(written), fds, &again, why.get(), why_size);
    MUST(rc == 0);
    check_same(message, again);
    return 0;
}
