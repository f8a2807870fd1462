// Makes a stub of its plan: writes the source, and has the system's compiler link it with the runtime.
#pragma once

#include <string>

#include "base/result.h"
#include "stub/plan.h"

namespace berth::cli {

// The folder with berth_stub.h and libberth-stub.a: of the installed tree or of the build tree that this program is
// in. The error lists where it looked.
Result<std::string> stub_folder();

// Writes `out` in one piece. The compiler is $CC, else cc; the error has what it said.
Result<bool> build_stub(const StubPlan &plan, const std::string &folder, const std::string &out);

} // namespace berth::cli
