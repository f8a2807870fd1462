// What a worker says of its module.
#pragma once

#include <cstddef>
#include <string>

namespace berth {

class Message;

struct ModuleWords {
    static constexpr size_t kMostVersion = 256; // bytes; methods and their names are bounded by their packet

    std::string version;
    std::string methods;      // ids, 4 bytes each
    std::string method_names; // a newline between; empty where the message has none

    bool operator==(const ModuleWords &) const = default;
};

// Of a `ready` or `rejoin-worker`.
ModuleWords words_of(const Message &message);

} // namespace berth
