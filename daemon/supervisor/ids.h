// Numbers that name things, each its own type.
#pragma once

#include <cstdint>

namespace berth {

// Names a context; given out from 1 upwards and never again. None: no context.
enum class ContextId : uint64_t { None = 0 };

constexpr uint64_t number(ContextId id) { return static_cast<uint64_t>(id); }

} // namespace berth
