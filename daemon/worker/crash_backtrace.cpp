#include "worker/crash_backtrace.h"

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <sys/uio.h>
#include <unistd.h>

#include "worker/crash_registers.h"

namespace berth {
namespace {

constexpr int kOwnFrames = 16; // of the handler, more than it has; a sanitizer puts some of its own between
constexpr int64_t kSymbolBudgetNs = 2'000'000;
char program[sizeof(berth_crash_frame::module)]; // the linker has no name for it

size_t length_of(const char *text) {
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

// Of a text that is too long: its end where `end_counts`, else its beginning.
template <size_t kSize> void put_text(char (&to)[kSize], const char *text, bool end_counts) {
    size_t length = length_of(text), kept = std::min(length, kSize - 1);
    if (end_counts)
        text += length - kept;
    std::copy(text, text + kept, to);
    to[kept] = 0;
}

void put_frame(berth_crash_area &area, uint64_t address) {
    if (area.frame_count == BERTH_CRASH_MAX_FRAMES) {
        area.cut |= BERTH_CRASH_FRAMES_CUT;
        return;
    }
    auto &frame = area.frames[area.frame_count];
    frame.address = address;
    dl_find_object found;
    if (::_dl_find_object(reinterpret_cast<void *>(address), &found) == 0 && found.dlfo_link_map) {
        const char *name = found.dlfo_link_map->l_name;
        frame.offset = address - found.dlfo_link_map->l_addr;
        put_text(frame.module, name && *name ? name : program, true);
    }
    __atomic_store_n(&area.frame_count, area.frame_count + 1, __ATOMIC_RELEASE);
}

// A jump to nowhere leaves the unwinder without a clue; whoever made it stands on the stack.
void put_jump_to_nowhere(berth_crash_area &area, const ucontext_t &at) {
    uint64_t top = 0;
    iovec mine{&top, sizeof top}, theirs{reinterpret_cast<void *>(stack_pointer(at)), sizeof top};
    put_frame(area, program_counter(at));
    if (::process_vm_readv(::getpid(), &mine, 1, &theirs, 1, 0) == static_cast<ssize_t>(sizeof top))
        put_frame(area, return_address_at(at, top));
}

int64_t cpu_time_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

} // namespace

void prepare_backtrace() {
    void *addresses[4];
    (void)::backtrace(addresses, 4);
    ssize_t length = ::readlink("/proc/self/exe", program, sizeof program - 1);
    program[std::max<ssize_t>(length, 0)] = 0;
}

void put_frames(berth_crash_area &area, const ucontext_t &at) {
    void *addresses[BERTH_CRASH_MAX_FRAMES + kOwnFrames + 1];
    void **end = addresses + ::backtrace(addresses, sizeof addresses / sizeof *addresses);
    void **first = std::find(addresses, end, reinterpret_cast<void *>(program_counter(at)));
    if (first == end || first + 1 == end)
        return put_jump_to_nowhere(area, at);
    for (; first != end; first++)
        put_frame(area, reinterpret_cast<uint64_t>(*first));
}

void put_symbols(berth_crash_area &area) {
    int64_t until = cpu_time_ns() + kSymbolBudgetNs;
    for (uint32_t i = 0; i < area.frame_count && cpu_time_ns() < until; i++) {
        auto &frame = area.frames[i];
        Dl_info info;
        // A call can be its function's last instruction: what it returns to is in the next function then.
        auto *in_function = reinterpret_cast<void *>(frame.address - (i > 0));
        if (!frame.module[0] || ::dladdr(in_function, &info) == 0 || !info.dli_sname)
            continue;
        frame.symbol_offset = frame.address - reinterpret_cast<uint64_t>(info.dli_saddr);
        put_text(frame.symbol, info.dli_sname, false);
    }
}

} // namespace berth
