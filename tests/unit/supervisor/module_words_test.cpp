#include "supervisor/module_words.h"

#include <doctest/doctest.h>

#include "control/message.h"

using namespace berth;

namespace {

Message ready(const std::string &version) {
    Message message(BERTH_MSG_READY);
    message.with(BERTH_KEY_PID, 1)
        .with_bytes(BERTH_KEY_METHODS, "\1\2\3\4")
        .with_text(BERTH_KEY_METHOD_NAMES, "echo")
        .with_text(BERTH_KEY_MODULE_VERSION, version);
    return message;
}

} // namespace

TEST_CASE("a worker's words are those of its message, and its version is cut between two characters") {
    CHECK(words_of(ready("1.0")) == ModuleWords{"1.0", "\1\2\3\4", "echo"});
    CHECK(words_of(ready(std::string(ModuleWords::kMostVersion - 1, 'v') + "é")).version ==
          std::string(ModuleWords::kMostVersion - 1, 'v'));
    CHECK(words_of(Message(BERTH_MSG_REJOIN_WORKER)) == ModuleWords{});
}
