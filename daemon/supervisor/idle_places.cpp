#include "supervisor/idle_places.h"

#include <algorithm>

namespace berth {

std::optional<Identity> IdlePlaces::take(const Identity &identity) {
    auto &places = places_[identity.uid];
    std::erase(places, identity);
    places.push_back(identity);
    if (places.size() <= kMostOfAUser)
        return std::nullopt;
    Identity loser = std::move(places.front());
    places.pop_front();
    return loser;
}

bool IdlePlaces::has(const Identity &identity) const {
    auto found = places_.find(identity.uid);
    return found != places_.end() &&
           std::find(found->second.begin(), found->second.end(), identity) != found->second.end();
}

void IdlePlaces::keep_only(const std::function<bool(const Identity &)> &still) {
    for (auto &[uid, places] : places_)
        std::erase_if(places, [&](const Identity &identity) { return !still(identity); });
    std::erase_if(places_, [](const auto &entry) { return entry.second.empty(); });
}

} // namespace berth
