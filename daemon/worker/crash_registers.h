// The registers of an interrupted thread, by the names that debuggers use. Async-signal-safe.
#pragma once

#include <cstddef>
#include <ucontext.h>

#include "crash_area.h"

namespace berth {

inline void put_register(berth_crash_area &area, const char *name, uint64_t value) {
    if (area.register_count >= BERTH_CRASH_MAX_REGISTERS)
        return;
    auto &entry = area.registers[area.register_count++];
    for (size_t i = 0; i < sizeof entry.name && name[i]; i++)
        entry.name[i] = name[i];
    entry.value = value;
}

#if defined(__x86_64__)

inline uint64_t program_counter(const ucontext_t &at) { return static_cast<uint64_t>(at.uc_mcontext.gregs[REG_RIP]); }
inline uint64_t stack_pointer(const ucontext_t &at) { return static_cast<uint64_t>(at.uc_mcontext.gregs[REG_RSP]); }

inline void put_registers(berth_crash_area &area, const ucontext_t &at) {
    static constexpr struct {
        const char *name;
        int index;
    } kRegisters[] = {{"rip", REG_RIP}, {"rsp", REG_RSP}, {"rbp", REG_RBP}, {"rax", REG_RAX}, {"rbx", REG_RBX},
                      {"rcx", REG_RCX}, {"rdx", REG_RDX}, {"rsi", REG_RSI}, {"rdi", REG_RDI}, {"r8", REG_R8},
                      {"r9", REG_R9},   {"r10", REG_R10}, {"r11", REG_R11}, {"r12", REG_R12}, {"r13", REG_R13},
                      {"r14", REG_R14}, {"r15", REG_R15}, {"eflags", REG_EFL}, {"err", REG_ERR}, {"trapno", REG_TRAPNO},
                      {"cr2", REG_CR2}};
    for (const auto &each : kRegisters)
        put_register(area, each.name, static_cast<uint64_t>(at.uc_mcontext.gregs[each.index]));
}

// Where a function that was called and has not touched the stack yet returns to.
inline uint64_t return_address_at(const ucontext_t &at, uint64_t top_of_stack) {
    (void)at;
    return top_of_stack;
}

#elif defined(__aarch64__)

inline uint64_t program_counter(const ucontext_t &at) { return at.uc_mcontext.pc; }
inline uint64_t stack_pointer(const ucontext_t &at) { return at.uc_mcontext.sp; }

inline void put_registers(berth_crash_area &area, const ucontext_t &at) {
    put_register(area, "pc", at.uc_mcontext.pc);
    put_register(area, "sp", at.uc_mcontext.sp);
    put_register(area, "pstate", at.uc_mcontext.pstate);
    for (int i = 0; i < 31; i++) {
        const char name[] = {'x', static_cast<char>(i < 10 ? '0' + i : '0' + i / 10),
                             static_cast<char>(i < 10 ? 0 : '0' + i % 10), 0};
        put_register(area, name, at.uc_mcontext.regs[i]);
    }
}

inline uint64_t return_address_at(const ucontext_t &at, uint64_t top_of_stack) {
    (void)top_of_stack;
    return at.uc_mcontext.regs[30];
}

#else
#error "say here how this machine's registers are called"
#endif

} // namespace berth
