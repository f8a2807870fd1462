// Writes down what a fatal signal looked like from inside, before it kills the worker as it would have anyway.
//
// The handler is there before the module is loaded. A module that installs its own replaces it: then that one runs,
// and ours only if it is passed on to. What a module's handler survives is no crash; where it ends the process, the
// report has everything but registers, backtrace and maps. The same goes for a stack that overflows on a thread of the
// module's own: only our two threads have an alternate one.
//
// The handler allocates nothing and takes no lock of ours. It does call the unwinder and dladdr, which may wait for the
// dynamic linker's lock; a timer ends it after a second, with the signal that it was called for. A fault of the handler
// itself ends the process at once, with SIGSEGV or SIGBUS. What was written until then counts.
#pragma once

namespace berth {

// Maps the crash area behind `fd`, closes that, and installs the handler; the calling thread gets its alternate stack.
// False, and nothing done but for the close: `fd` is no crash area.
bool install_crash_handler(int fd);

// In a child that was forked to be a worker of its own: maps the crash area behind `fd`, closes that, and has the
// handler, which the child inherited together with its thread's alternate stack, write there instead of into its
// parent's. The signals stay as they are: what the module installed since is not replaced. False: `fd` is no crash area;
// then neither is written to.
bool move_crash_handler(int fd);

// For each further thread of ours: an alternate stack, so that an overflow of its own is told too, and the fatal
// signals unblocked.
void prepare_thread_for_crash();

} // namespace berth
