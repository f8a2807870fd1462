// The map of berth_status as tables. Keys that are missing or null are shown as "-"; keys that are new get a column.
#pragma once

#include <string>

#include "codec.h"

namespace berth::cli {

std::string status_text(const Json &status);
std::string modules_text(const Json &status);
// What `berth modules --json` prints: the list of modules, each a map with its "name".
Json modules_of(const Json &status);

} // namespace berth::cli
