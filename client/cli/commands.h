// One function per subcommand: runs it, prints, and returns the exit status.
#pragma once

#include "options.h"

namespace berth::cli {

int run_call(const CallOptions &options);
int run_status(const StatusOptions &options);
int run_crashes(const CrashesOptions &options);
int run_reset(const ResetOptions &options);
int run_bench(const BenchOptions &options);
int run_stub(const StubOptions &options);
int run_module_init(const ModuleInitOptions &options);

} // namespace berth::cli
