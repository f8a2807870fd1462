// The numbers of one run, for programs and for people.
#pragma once

#include "bench/plan.h"

namespace berth::cli {

Json report_json(const Results &results);
// From the JSON: what people see is what programs see.
std::string report_text(const Json &report);

} // namespace berth::cli
