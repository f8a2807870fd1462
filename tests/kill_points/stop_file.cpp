#include "stop_file.h"

#include <cstdlib>

namespace berth::test {

StopFile::StopFile(const Place &place) {
    ::setenv("BERTH_KILL_POINT", place.point.c_str(), 1);
    ::setenv("BERTH_KILL_POINT_AFTER", std::to_string(place.after).c_str(), 1);
    ::setenv("BERTH_KILL_POINT_FILE", (folder_ / "stopped").c_str(), 1);
}

pid_t StopFile::stopped() const {
    std::string text = read_file(folder_ / "stopped");
    pid_t pid = text.ends_with('\n') ? static_cast<pid_t>(std::stol(text)) : 0;
    return pid && is_stopped(pid) ? pid : 0;
}

bool is_stopped(pid_t pid) {
    std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    size_t end = stat.rfind(')');
    return end != std::string::npos && stat.compare(end, 3, ") T") == 0;
}

} // namespace berth::test
