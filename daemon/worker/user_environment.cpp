#include "worker/user_environment.h"

#include <cerrno>
#include <cstdlib>
#include <pwd.h>
#include <unistd.h>
#include <vector>

namespace berth {
namespace {

constexpr size_t kFirstEntry = 1024, kMostEntry = 1024 * 1024;

void set(const char *name, const char *value) {
    if (value && *value)
        ::setenv(name, value, 0);
}

} // namespace

void take_user_environment() {
    passwd entry{}, *found = nullptr;
    std::vector<char> strings(kFirstEntry);
    while (::getpwuid_r(::geteuid(), &entry, strings.data(), strings.size(), &found) == ERANGE &&
           strings.size() < kMostEntry)
        strings.resize(2 * strings.size());
    if (found) {
        set("HOME", found->pw_dir);
        set("USER", found->pw_name);
        set("LOGNAME", found->pw_name);
        set("SHELL", found->pw_shell);
    }
    set("HOME", "/");
}

} // namespace berth
