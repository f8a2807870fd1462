// One row of the table, done step by step.
#pragma once

#include <map>

#include "payload.h"

namespace berth::table {

struct Failure {
    size_t step;
    std::string why; // "(call) the payload is …"
};

// Closes what it opened. Nothing: every step was as expected.
std::optional<Failure> run_row(Binding &binding, const Json &row);

} // namespace berth::table
