// The table's inputs and expectations.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "binding.h"

namespace berth::table {

using Json = nlohmann::json;

// What in the table itself is not as table.md says.
struct BadTable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws BadTable when `map` is none, has a key that is in neither list, or lacks one of `needed`.
void check_keys(const Json &map, const std::vector<std::string> &needed, const std::vector<std::string> &allowed);

std::string bytes_of(const Json &input);

// Throws BadTable: an expectation that is not known.
void check_expectation(const Json &expect);

// What differs; empty: nothing does. `index` is an event's.
std::string difference(const Json &expect, const Reply &reply, size_t index = 0);
std::string difference(const Json &expect, const Closed &closed);

} // namespace berth::table
