/* What control messages take for text. */
#ifndef BERTH_PROTO_UTF8_H
#define BERTH_PROTO_UTF8_H

#include <stddef.h>
#include <stdint.h>

static inline int berth_utf8_valid(const uint8_t *s, size_t len) {
    for (size_t i = 0; i < len;) {
        uint8_t lead = s[i++];
        int more = lead < 0x80 ? 0 : (lead >> 5) == 6 ? 1 : (lead >> 4) == 14 ? 2 : (lead >> 3) == 30 ? 3 : -1;
        uint32_t point = more <= 0 ? lead : lead & (0x3fu >> more);
        if (more < 0)
            return 0;
        for (int k = 0; k < more; k++, i++) {
            if (i >= len || (s[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (s[i] & 0x3f);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return 0;
    }
    return 1;
}

#endif
