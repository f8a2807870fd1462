// The kernel's clock without libc: found in the vDSO by either of its two tables, or by a system call.
#include <doctest/doctest.h>

#include "kernel_clock.h"

namespace {

uint64_t kernel_ns() {
    timespec now{};
    berth_clock_without_vdso(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

} // namespace

TEST_CASE("now is the kernel's now, and errno stays") {
    errno = 4711;
    uint64_t before = kernel_ns(), now = berth_now_ns(), after = kernel_ns();
    CHECK(before <= now);
    CHECK(now <= after);
    berth_find_clock();
    CHECK(errno == 4711);
    CHECK(berth_clock_ns(CLOCK_MONOTONIC_COARSE) <= kernel_ns());
}

TEST_CASE("the vDSO's symbols are counted the same by each of its tables") {
    // 8 symbols in one bucket from number 3 on, the last with its chain's end: 3 + 8 of them.
    uint32_t hash[] = {1, 11};
    uint32_t gnu_hash[4 + sizeof(ElfW(Addr)) / sizeof(uint32_t) + 1 + 8] = {1, 3, 1, 0};
    uint32_t *bucket = gnu_hash + 4 + sizeof(ElfW(Addr)) / sizeof(uint32_t);
    *bucket = 3;
    bucket[8] = 1;
    berth_vdso by_hash{nullptr, nullptr, hash, nullptr}, by_gnu_hash{nullptr, nullptr, nullptr, gnu_hash}, by_none{};
    CHECK(berth_vdso_count(&by_hash) == 11);
    CHECK(berth_vdso_count(&by_gnu_hash) == 11);
    CHECK(berth_vdso_count(&by_none) == 0);
}
