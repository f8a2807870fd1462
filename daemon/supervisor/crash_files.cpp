#include "supervisor/crash_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/unique_fd.h"

namespace berth {
namespace {

using Json = nlohmann::json;

// Sorts by time. The report is our own, so its keys are there.
std::string name_for(const Json &report) {
    auto ms = report["time_ms"].get<uint64_t>();
    auto seconds = static_cast<time_t>(ms / 1000);
    tm utc{};
    char day[32];
    ::gmtime_r(&seconds, &utc);
    std::strftime(day, sizeof day, "%Y%m%dT%H%M%S", &utc);
    return fmt::format("crash-{}.{:03}Z-{}-{}.json", day, ms % 1000, report["module"].get<std::string>(),
                       report["pid"].get<int64_t>());
}

Result<bool> write_all(const std::string &path, const std::string &text) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    bool whole = file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (whole)
        return true;
    int error = errno;
    if (file)
        ::unlink(path.c_str());
    return Error{1, fmt::format("{}: {}", path, std::strerror(error))};
}

void drop_oldest(const std::string &folder) {
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
        auto name = file->path().filename().string();
        if (name.starts_with("crash-") && name.ends_with(".json"))
            names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    for (size_t i = 0; i + kMostCrashFiles < names.size(); i++)
        std::filesystem::remove(folder + "/" + names[i], error);
}

} // namespace

Result<bool> write_crash_file(const std::string &folder, const std::vector<uint8_t> &report) {
    Json json = Json::from_cbor(report);
    auto written = write_all(folder + "/" + name_for(json), json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    drop_oldest(folder);
    return written;
}

} // namespace berth
