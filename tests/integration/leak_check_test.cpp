#include "leak_check.h"

#include <atomic>
#include <csignal>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "host.h"
#include "processes.h"

using namespace berth::test;

TEST_CASE("the leak check finds nothing where nothing is left") {
    auto before = Holdings::now();
    CHECK(leaked(before, Holdings::now()) == "");
}

TEST_CASE("the leak check finds a descriptor, and one that was closed") {
    auto before = Holdings::now();
    int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    auto with = Holdings::now();
    ::close(fd);
    CHECK(leaked(before, with).find("on /dev/null") != std::string::npos);
    CHECK(leaked(with, Holdings::now()).find("was closed") != std::string::npos);
}

TEST_CASE("the leak check finds a thread") {
    auto before = Holdings::now();
    std::atomic<bool> stop{false};
    std::thread thread([&] { stop.wait(false); });
    std::string found = leaked(before, Holdings::now());
    stop = true;
    stop.notify_all();
    thread.join();
    CHECK(found.find("thread ") == 0);
}

TEST_CASE("the leak check finds a segment's mapping") {
    auto before = Holdings::now();
    int fd = ::memfd_create("berth-segment", MFD_CLOEXEC);
    CHECK(::ftruncate(fd, 4096) == 0);
    void *mapping = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    CHECK(leaked(before, Holdings::now()) == "1 segment mappings\n");
    ::munmap(mapping, 4096);
}

TEST_CASE("the leak check finds a supervisor that goes on") {
    auto before = Holdings::now();
    std::string found;
    {
        Host host;
        found = leaked(before, Holdings::now());
    }
    CHECK(found.find("(berthd)") != std::string::npos);
    CHECK(eventually([&] { return leaked(before, Holdings::now()).empty(); }));
}
