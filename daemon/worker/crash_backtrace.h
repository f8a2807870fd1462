// The frames of an interrupted thread, with the modules and symbols that they are in. For the crash handler.
#pragma once

#include <ucontext.h>

#include "crash_area.h"

namespace berth {

// Loads what the unwinder needs, which it would otherwise do when it is first used: in the handler.
void prepare_backtrace();

// The addresses and their modules, innermost first. No lock is taken.
void put_frames(berth_crash_area &area, const ucontext_t &at);

// The symbols of the frames that put_frames found, as far as a budget of CPU time goes: the dynamic linker goes
// through all symbols of a module for each. Takes its lock.
void put_symbols(berth_crash_area &area);

} // namespace berth
