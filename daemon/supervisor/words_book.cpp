#include "supervisor/words_book.h"

#include <algorithm>

#include "supervisor/log_lines.h"

namespace berth {

WordsBook::Entry &WordsBook::entry(uid_t uid) {
    auto found = entries_.find(uid);
    if (found == entries_.end() && entries_.size() >= kMostUsers)
        entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](const auto &a, const auto &b) {
            return a.second.turn < b.second.turn;
        }));
    if (found == entries_.end())
        found = entries_.emplace(uid, Entry{std::make_shared<ModuleWords>(), {}}).first;
    found->second.turn = ++turns_;
    return found->second;
}

std::shared_ptr<const ModuleWords> WordsBook::ready(uid_t uid, ModuleWords words) {
    auto &own = entry(uid);
    if (*own.said != words)
        own.said = std::make_shared<ModuleWords>(std::move(words));
    own.error.clear();
    return own.said;
}

void WordsBook::failed(uid_t uid, std::string_view error) { entry(uid).error = cut(error, kMostError); }

WordsBook::Entry WordsBook::of(uid_t uid) const {
    auto found = entries_.find(uid);
    return found == entries_.end() ? Entry{std::make_shared<ModuleWords>(), {}} : found->second;
}

} // namespace berth
