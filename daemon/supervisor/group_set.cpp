#include "supervisor/group_set.h"

#include <algorithm>
#include <map>

namespace berth {
namespace {
const std::vector<gid_t> kNone;
}

struct GroupSet::Shared {
    using Table = std::map<std::vector<gid_t>, std::weak_ptr<const Shared>>;
    static Table &table() {
        static Table table;
        return table;
    }

    Table::iterator at;
    uint64_t number;

    Shared(Table::iterator at, uint64_t number) : at(at), number(number) {}
    ~Shared() { table().erase(at); }
    Shared(const Shared &) = delete;
};

GroupSet::GroupSet(std::vector<gid_t> groups) {
    static uint64_t sets_made = 0;
    std::sort(groups.begin(), groups.end());
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    if (groups.empty())
        return;
    groups.shrink_to_fit();
    auto [at, is_new] = Shared::table().try_emplace(std::move(groups));
    if (is_new) {
        shared_ = std::make_shared<Shared>(at, ++sets_made);
        at->second = shared_;
    } else {
        shared_ = at->second.lock();
    }
}

const std::vector<gid_t> &GroupSet::sorted() const { return shared_ ? shared_->at->first : kNone; }

uint64_t GroupSet::number() const { return shared_ ? shared_->number : 0; }

size_t GroupSet::count() { return Shared::table().size(); }

} // namespace berth
