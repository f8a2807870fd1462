// The table of the kill points (points.json), and what the sources have.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace berth::test {

// A point, and one way to come to it. A point may have several.
struct Place {
    std::string point; // "party.step"
    std::string phase, step;
    std::string scenario = "calls"; // what the host does (scenario.h)
    unsigned after = 0;             // how often the point is passed before
    std::vector<std::string> victims{"host", "worker", "supervisor"}; // who is killed while somebody stands there
    bool stop = true;                   // whether who stands there may stay for a while
    std::vector<std::string> also_stop; // others that are stopped in its place
    int stop_ms = 700;                  // for so long
    bool idle = false;                  // who stands there passes for an idle worker, and may be given an open
    std::vector<std::string> told;      // those whose being stopped is told as not_responding

    std::string party() const { return point.substr(0, point.find('.')); }
};

std::vector<Place> all_places();
std::set<std::string> names_of(const std::vector<Place> &places);

// One place and what is done to whom there.
struct Case {
    Place place;
    std::string victim;
    bool kill = true; // else it is stopped
    std::string name() const;
};
std::vector<Case> all_cases();

// By the sources below `root`: each name as often as it stands there.
std::multiset<std::string> points_in_sources(const std::string &root);

} // namespace berth::test
