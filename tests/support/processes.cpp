#include "processes.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace berth::test {
namespace {

std::string mark() { return "BERTH_TEST_MARK=" + std::to_string(::getpid()); }

std::string proc(pid_t pid, const char *file) { return "/proc/" + std::to_string(pid) + "/" + file; }

bool is_number(const std::string &text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool marked(pid_t pid) {
    std::string environment = '\0' + read_file(proc(pid, "environ"));
    return environment.find('\0' + mark() + '\0') != std::string::npos;
}

#if defined(__SANITIZE_ADDRESS__)
// A thread that the kernel shows as asleep is in none of its allocator's locks.
bool others_sleep() {
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
        std::string stat = read_file(entry.path() / "stat");
        size_t end = stat.rfind(')');
        bool asleep = end == std::string::npos || end + 2 >= stat.size() || stat[end + 2] != 'R';
        if (!asleep && entry.path().filename() != std::to_string(::gettid()))
            return false;
    }
    return true;
}
#endif

} // namespace

bool eventually(const std::function<bool()> &so, std::chrono::milliseconds bound) {
    auto until = std::chrono::steady_clock::now() + bound;
    for (;;) {
        if (so())
            return true;
        if (std::chrono::steady_clock::now() >= until)
            return false;
        sleep_ms(10);
    }
}

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

std::string read_file(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

void write_file(const std::string &path, const std::string &text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

size_t entries(const std::string &folder) {
    std::error_code error;
    size_t count = 0;
    for (auto at = std::filesystem::directory_iterator(folder, error); at != std::filesystem::directory_iterator();
         at.increment(error))
        count++;
    return count;
}

std::string needed_variable(const char *name) {
    const char *value = std::getenv(name);
    if (!value || !*value)
        throw std::runtime_error(std::string(name) + " is not set: run the tests with meson test");
    return value;
}

bool alive(pid_t pid) {
    std::string stat = read_file(proc(pid, "stat"));
    size_t end = stat.rfind(')');
    return end != std::string::npos && end + 2 < stat.size() && stat[end + 2] != 'Z' && stat[end + 2] != 'X';
}

bool gone_soon(pid_t pid) {
    return eventually([&] { return !alive(pid); });
}

void kill_child(pid_t &pid) {
    if (pid < 0)
        return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = -1;
}

#if defined(__SANITIZE_ADDRESS__)
// gcc 12's AddressSanitizer does not hold its allocator over fork(): a lock that another thread has at that moment is
// never given back in the child.
pid_t fork_in_peace() {
    eventually(others_sleep);
    return ::fork();
}
#else
pid_t fork_in_peace() { return ::fork(); }
#endif

int in_a_fork(const std::function<int()> &body) {
    pid_t child = fork_in_peace();
    if (child == 0)
        ::_exit(body());
    int status = -1;
    if (!eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }))
        kill_child(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string command_of(pid_t pid) {
    std::string text = read_file(proc(pid, "comm"));
    return text.substr(0, text.find('\n'));
}

std::vector<pid_t> own_processes(const std::string &command) {
    std::vector<pid_t> found;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/proc", error)) {
        std::string name = entry.path().filename();
        pid_t pid = is_number(name) ? static_cast<pid_t>(std::stol(name)) : 0;
        if (!pid || pid == ::getpid())
            continue;
        std::string what = command_of(pid);
        bool ours = what == "berthd" || what == "berth-worker" || what == "berth-zygote";
        if (ours && (command.empty() || what == command) && marked(pid) && alive(pid))
            found.push_back(pid);
    }
    return found;
}

void mark_environment() { ::setenv("BERTH_TEST_MARK", std::to_string(::getpid()).c_str(), 1); }

TempDir::TempDir() {
    char name[] = "/tmp/berth-test-XXXXXX";
    if (!::mkdtemp(name))
        throw std::runtime_error("no temporary folder");
    path_ = name;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

} // namespace berth::test
