#include "supervisor/module_words.h"

#include "control/message.h"
#include "supervisor/log_lines.h"

namespace berth {

ModuleWords words_of(const Message &message) {
    return {std::string(cut(message.text(BERTH_KEY_MODULE_VERSION), ModuleWords::kMostVersion)),
            std::string(message.text(BERTH_KEY_METHODS)), std::string(message.text(BERTH_KEY_METHOD_NAMES))};
}

} // namespace berth
