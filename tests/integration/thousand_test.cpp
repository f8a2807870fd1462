// A thousand contexts, open and idle: what they cost.
#include <chrono>
#include <doctest/doctest.h>
#include <memory>
#include <sstream>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "cbor_text.h"
#include "context_switches.h"
#include "host.h"
#include "leak_check.h"
#include "manifests.h"
#include "processes.h"

using namespace berth::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true; // shadow memory is not the subject
#else
constexpr bool kSanitized = false;
#endif
constexpr size_t kContexts = 1000;

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

long kib_of(pid_t pid, const std::string &file, const std::string &key) {
    std::istringstream text(read_file("/proc/" + std::to_string(pid) + "/" + file));
    for (std::string line; std::getline(text, line);)
        if (line.rfind(key, 0) == 0)
            return std::stol(line.substr(key.size()));
    return -1;
}

// A descriptor limit for the host's three of each context.
struct ManyFds {
    rlimit before{};
    ManyFds() {
        ::getrlimit(RLIMIT_NOFILE, &before);
        rlimit more = before;
        more.rlim_cur = std::max<rlim_t>(before.rlim_cur, std::min<rlim_t>(before.rlim_max, 8192));
        ::setrlimit(RLIMIT_NOFILE, &more);
    }
    ~ManyFds() { ::setrlimit(RLIMIT_NOFILE, &before); }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a thousand contexts, open and idle: no wakeups, a small supervisor, small workers") {
    if (kSanitized) {
        MESSAGE("not under a sanitizer, whose memory and threads these are not");
        return;
    }
    ManyFds limit;
    Manifests manifests;
    manifests.add_echo("spares = 0\n");
    Host host(Host::Private::FromFolder, manifests.path());
    std::vector<std::unique_ptr<Context>> contexts(kContexts);
    std::vector<double> colds;
    for (size_t i = 0; i < 5; i++) { // one at a time
        auto start = Clock::now();
        contexts[i] = std::make_unique<Context>(host, "echo");
        colds.push_back(ms_since(start));
    }
    std::sort(colds.begin(), colds.end());
    double cold = colds[2];
    auto start = Clock::now();
    std::vector<std::thread> threads;
    for (size_t thread = 0; thread < 8; thread++)
        threads.emplace_back([&, thread] {
            for (size_t i = 5 + thread; i < kContexts; i += 8)
                contexts[i] = std::make_unique<Context>(host, "echo");
        });
    for (auto &thread : threads)
        thread.join();
    double each = ms_since(start) / static_cast<double>(kContexts - 5);
    for (auto &context : contexts)
        REQUIRE(context->call("echo", "x") == Answer{0, "x"});
    pid_t supervisor = host.supervisor();
    std::vector<pid_t> workers = own_processes("berth-worker");
    CHECK(workers.size() >= kContexts);
    long pss = 0, most = 0;
    for (size_t i = 0; i < workers.size(); i += 10) {
        long one = kib_of(workers[i], "smaps_rollup", "Pss:");
        pss += one;
        most = std::max(most, one);
    }
    long mean = pss / static_cast<long>((workers.size() + 9) / 10);
    long rss = kib_of(supervisor, "status", "VmRSS:");
    MESSAGE("cold open, one at a time: " << cold << " ms; of a thousand, each: " << each << " ms; PSS of a worker: " << mean
                                         << " KiB, " << most << " KiB the largest; supervisor: " << rss << " KiB");
    CHECK(mean <= 2048);
    CHECK(rss <= 30 * 1024);
    auto quiet = quiet_for_ten_seconds(own_processes());
    CHECK_MESSAGE(quiet.empty(), quiet);
    threads.clear();
    for (size_t thread = 0; thread < 8; thread++)
        threads.emplace_back([&, thread] {
            for (size_t i = thread; i < kContexts; i += 8)
                contexts[i].reset();
        });
    for (auto &thread : threads)
        thread.join();
}
