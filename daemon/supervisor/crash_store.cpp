#include "supervisor/crash_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>

#include "supervisor/crash_files.h"
#include "supervisor/log.h"
#include "supervisor/sealed_body.h"

namespace berth {

void CrashStore::drop_oldest(uid_t uid, const std::string *module) {
    auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry &entry) {
        return entry.identity.uid == uid && (!module || entry.module == *module);
    });
    entries_.erase(found);
}

uid_t CrashStore::has_most() const {
    std::map<uid_t, size_t> counts;
    for (const auto &entry : entries_)
        counts[entry.identity.uid]++;
    return std::max_element(counts.begin(), counts.end(), [](auto &a, auto &b) { return a.second < b.second; })->first;
}

void CrashStore::add(Entry entry) {
    auto alike = [&](const Entry &other) {
        return other.identity.uid == entry.identity.uid && other.module == entry.module;
    };
    if (std::count_if(entries_.begin(), entries_.end(), alike) >= static_cast<std::ptrdiff_t>(kMostPerModule))
        drop_oldest(entry.identity.uid, &entry.module);
    if (entries_.size() >= kMost)
        drop_oldest(has_most(), nullptr);
    if (!folder_.empty())
        if (auto written = write_crash_file(folder_, entry.report); !written)
            log::error("{}", written.error().text);
    entries_.push_back(std::move(entry));
    replies_.clear();
}

std::vector<uint8_t> cbor_array(const std::vector<const std::vector<uint8_t> *> &items) {
    std::vector<uint8_t> out;
    out.push_back(0x99); // an array whose length has two bytes
    out.push_back(static_cast<uint8_t>(items.size() >> 8));
    out.push_back(static_cast<uint8_t>(items.size()));
    for (const auto *item : items)
        out.insert(out.end(), item->begin(), item->end());
    return out;
}

Result<UniqueFd> CrashStore::reply_for(const Identity &viewer) {
    if (replies_.size() >= kMostReplies && !replies_.contains(viewer))
        replies_.clear();
    auto &made = replies_[viewer];
    if (!made) {
        std::vector<const std::vector<uint8_t> *> visible;
        for (const auto &entry : entries_)
            if (may_see(viewer, entry.identity))
                visible.push_back(&entry.report);
        auto body = sealed_body("berth-crashes", cbor_array(visible));
        if (!body)
            return body.error();
        made = std::move(*body);
    }
    UniqueFd copy(::fcntl(made.get(), F_DUPFD_CLOEXEC, 3));
    if (!copy)
        return Error{1, fmt::format("the daemon cannot duplicate a descriptor: {}", std::strerror(errno))};
    return copy;
}

} // namespace berth
