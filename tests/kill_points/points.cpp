#include "points.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "processes.h"

namespace berth::test {
namespace {

using Json = nlohmann::json;

template <class T> void read(const Json &row, const char *key, T &out) {
    if (row.contains(key))
        row.at(key).get_to(out);
}

Place place_of(const Json &row) {
    Place place;
    row.at("point").get_to(place.point);
    row.at("phase").get_to(place.phase);
    row.at("step").get_to(place.step);
    read(row, "scenario", place.scenario);
    read(row, "after", place.after);
    read(row, "victims", place.victims);
    read(row, "stop", place.stop);
    read(row, "also_stop", place.also_stop);
    read(row, "stop_ms", place.stop_ms);
    read(row, "idle", place.idle);
    read(row, "told", place.told);
    return place;
}

std::vector<std::string> points_in(const std::string &text) {
    constexpr std::string_view kBefore = "BERTH_KILL_POINT(\"";
    std::vector<std::string> names;
    for (size_t at = 0; (at = text.find(kBefore, at)) != std::string::npos;) {
        at += kBefore.size();
        names.push_back(text.substr(at, text.find('"', at) - at));
    }
    return names;
}

} // namespace

std::vector<Place> all_places() {
    std::vector<Place> places;
    for (const auto &row : Json::parse(read_file(BERTH_KILL_POINTS_TABLE)))
        places.push_back(place_of(row));
    return places;
}

std::set<std::string> names_of(const std::vector<Place> &places) {
    std::set<std::string> names;
    for (const auto &place : places)
        names.insert(place.point);
    return names;
}

std::string Case::name() const {
    std::string after = place.after ? "+" + std::to_string(place.after) : "";
    std::string where = place.scenario == "calls" ? "" : "@" + place.scenario;
    return place.point + after + where + ":" + (kill ? "kill" : "stop") + ":" + victim;
}

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const auto &place : all_places()) {
        for (const auto &victim : place.victims)
            cases.push_back({place, victim, true});
        if (place.stop)
            cases.push_back({place, place.party(), false});
        for (const auto &other : place.also_stop)
            cases.push_back({place, other, false});
    }
    return cases;
}

std::multiset<std::string> points_in_sources(const std::string &root) {
    std::multiset<std::string> found;
    for (const char *folder : {"client", "daemon", "proto"})
        for (const auto &entry : std::filesystem::recursive_directory_iterator(root + "/" + folder)) {
            auto kind = entry.path().extension();
            if (kind != ".c" && kind != ".cpp" && kind != ".h" && kind != ".hpp")
                continue;
            for (auto &name : points_in(read_file(entry.path())))
                found.insert(std::move(name));
        }
    return found;
}

} // namespace berth::test
