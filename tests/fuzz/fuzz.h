// What the fuzz targets share: the input taken apart, and a check that does not vanish in a release build.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition);                            \
            std::abort();                                                                                              \
        }                                                                                                              \
    } while (0)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

class Input {
  public:
    Input(const uint8_t *data, size_t size) : at_(data), left_(size) {}
    bool empty() const { return left_ == 0; }

    // The next `bytes` bytes as a little-endian number; what is missing counts as zero.
    uint64_t number(unsigned bytes) {
        uint64_t n = 0;
        for (unsigned i = 0; i < bytes && left_; i++, at_++, left_--)
            n |= uint64_t{*at_} << (8 * i);
        return n;
    }

    // Copies up to `bytes` bytes; returns how many there were.
    size_t take(void *to, size_t bytes) {
        size_t n = bytes < left_ ? bytes : left_;
        if (n)
            std::memcpy(to, at_, n);
        at_ += n;
        left_ -= n;
        return n;
    }
    size_t left() const { return left_; }

  private:
    const uint8_t *at_;
    size_t left_;
};
