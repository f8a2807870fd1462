#include <cstdio>

#include "berth/berth.h"
#include "commands.h"

namespace {

using namespace berth::cli;

struct Run {
    int operator()(const Finished &finished) const {
        fputs(finished.out.c_str(), stdout);
        fputs(finished.err.c_str(), stderr);
        return finished.status;
    }
    int operator()(const CallOptions &options) const { return run_call(options); }
    int operator()(const StatusOptions &options) const { return run_status(options); }
    int operator()(const CrashesOptions &options) const { return run_crashes(options); }
    int operator()(const ResetOptions &options) const { return run_reset(options); }
    int operator()(const BenchOptions &options) const { return run_bench(options); }
    int operator()(const StubOptions &options) const { return run_stub(options); }
    int operator()(const ModuleInitOptions &options) const { return run_module_init(options); }
};

} // namespace

int main(int argc, char **argv) { return std::visit(Run{}, parse_command_line(argc, argv, berth_version())); }
