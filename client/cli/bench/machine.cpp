#include <cstdlib>
#include <fstream>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/plan.h"

namespace berth::cli {
namespace {

int allowed_cpus() {
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
}

std::string kernel() {
    utsname name;
    return uname(&name) == 0 ? name.release : "";
}

std::string cpu_model() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
            return line.substr(line.find(": ") + 2);
    return "";
}

} // namespace

Json describe_machine() {
    double load[3] = {0, 0, 0};
    int known = getloadavg(load, 3);
    return {{"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
            {"allowed_cpus", allowed_cpus()},
            {"cpu", cpu_model()},
            {"kernel", kernel()},
            {"load", known == 3 ? Json{load[0], load[1], load[2]} : Json()}};
}

} // namespace berth::cli
