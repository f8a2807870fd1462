// The reports of berth_crashes as text: newest last, each with what people look at first. --json has the rest.
#pragma once

#include <string>

#include "codec.h"

namespace berth::cli {

std::string crashes_text(const Json &crashes);

} // namespace berth::cli
