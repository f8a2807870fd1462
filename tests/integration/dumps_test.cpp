// Segments are sparse, and no part of a core: the kernel would read every page of them into being.
#include <doctest/doctest.h>
#include <sstream>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

struct Mappings {
    size_t all = 0, left_out = 0;
};

// The segments that a process has mapped, and how many of them a core would leave out.
Mappings segments_of(const std::string &pid) {
    Mappings found;
    bool segment = false;
    std::istringstream smaps(read_file("/proc/" + pid + "/smaps"));
    for (std::string line; std::getline(smaps, line);) {
        if (line.find('-') < line.find(' '))
            segment = line.find("memfd:berth-segment") != std::string::npos;
        if (!segment || line.rfind("VmFlags:", 0) != 0)
            continue;
        found.all++;
        found.left_out += line.find(" dd") != std::string::npos;
    }
    return found;
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "no segment is in a core of the host or of the worker") {
    Host host;
    Context context(host), another(host);
    Mappings ours = segments_of("self");
    CHECK(ours.all >= 2);
    CHECK(ours.left_out == ours.all);
    for (pid_t worker : host.workers()) {
        Mappings its = segments_of(std::to_string(worker));
        CHECK(its.all == its.left_out);
    }
    CHECK(segments_of(std::to_string(host.worker())).all >= 1);
}

TEST_CASE_FIXTURE(LeakChecked, "nor is one that came with a restart") {
    Host host;
    berth_open_options options{};
    options.size = sizeof options;
    options.flags = BERTH_RESTART;
    berth_context context;
    REQUIRE(berth_open(host.handle(), "echo", nullptr, 0, &options, &context, nullptr) == 0);
    std::string die = cbor(R"({"how": "segv"})");
    berth_reply reply;
    CHECK(berth_call(context, method_id("die"), die.data(), die.size(), 60000, &reply) == BERTH_RET_WORKER_DIED);
    berth_reply_free(&reply);
    CHECK(eventually([&] {
        int ret = berth_call(context, method_id("echo"), "x", 1, 60000, &reply);
        berth_reply_free(&reply);
        return ret == 0;
    }));
    Mappings ours = segments_of("self");
    CHECK(ours.all >= 1);
    CHECK(ours.left_out == ours.all);
    CHECK(berth_close(context, nullptr, nullptr) == 0);
}
