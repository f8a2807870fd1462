extern "C" {
#include "channel/spare.h"
}

#include <cerrno>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "processes.h"

using namespace berth::test;

namespace {

// As a connection has it that was opened, closed and opened again.
channel_spare wanted() { return {nullptr, 0, 1, 1}; }

// A process's soft limit, for a while.
class Limit {
public:
    Limit(__rlimit_resource_t resource, rlim_t soft) : resource_(resource) {
        REQUIRE(getrlimit(resource_, &before_) == 0);
        rlimit limit = {soft, before_.rlim_max}, now{};
        set_ = setrlimit(resource_, &limit) == 0 && getrlimit(resource_, &now) == 0 && now.rlim_cur == soft;
    }
    ~Limit() { setrlimit(resource_, &before_); }
    bool is_set() const { return set_; }

private:
    __rlimit_resource_t resource_;
    rlimit before_{};
    bool set_ = false;
};

void give_back(channel_parts &parts) {
    segment_destroy(&parts.segment);
    close(parts.segment_fd);
    wake_deinit(&parts.wake);
}

bool is_usable(const channel_parts &parts) {
    return parts.segment.header && parts.segment.header->magic == BERTH_SEGMENT_MAGIC &&
           fcntl(parts.segment_fd, F_GET_SEALS) > 0 && fcntl(parts.wake.poll_fd, F_GETFD) == FD_CLOEXEC &&
           fcntl(parts.wake.worker_end, F_GETFD) == FD_CLOEXEC;
}

} // namespace

TEST_CASE("a spare is taken once, and what is made without one is as good") {
    channel_spare spare = wanted();
    channel_spare_fill(&spare, 0);
    REQUIRE(spare.parts);
    channel_parts *filled = spare.parts;
    int segment_fd = filled->segment_fd;
    channel_spare_fill(&spare, 0); // there is one
    CHECK(spare.parts == filled);
    channel_parts first, second;
    REQUIRE(channel_spare_take(&spare, &first) == 0);
    CHECK(first.segment_fd == segment_fd);
    CHECK_FALSE(spare.parts);
    REQUIRE(channel_spare_take(&spare, &second) == 0);
    CHECK(second.segment_fd != segment_fd);
    CHECK(is_usable(first));
    CHECK(is_usable(second));
    CHECK(first.segment.header != second.segment.header);
    give_back(first);
    give_back(second);
}

TEST_CASE("a spare that waits can be neither read nor locked, and one that is taken is mapped") {
    channel_spare spare = wanted();
    channel_spare_fill(&spare, 0);
    REQUIRE(spare.parts);
    CHECK(::write(spare.parts->wake.poll_fd, spare.parts->segment.header, 1) == -1); // EFAULT
    CHECK(errno == EFAULT);
    channel_parts parts;
    REQUIRE(channel_spare_take(&spare, &parts) == 0);
    CHECK(is_usable(parts));
    give_back(parts);
}

TEST_CASE("a spare is made only where an open has come after a close") {
    channel_spare spare = {};
    channel_parts first, second, third;
    REQUIRE(channel_spare_take(&spare, &first) == 0);
    channel_spare_fill(&spare, 0); // and that may have been all
    CHECK_FALSE(spare.parts);
    REQUIRE(channel_spare_take(&spare, &second) == 0);
    CHECK_FALSE(spare.parts);
    channel_spare_fill(&spare, 0);
    REQUIRE(spare.parts);
    int fd = spare.parts->segment_fd;
    REQUIRE(channel_spare_take(&spare, &third) == 0);
    CHECK(third.segment_fd == fd);
    for (channel_parts *parts : {&first, &second, &third})
        give_back(*parts);
}

TEST_CASE("a spare that nobody comes for is dropped after a second") {
    constexpr uint64_t kSecond = 1'000'000'000;
    channel_spare spare = wanted();
    CHECK(channel_spare_tick(&spare, 5) == 0);
    size_t before = entries("/proc/self/fd");
    channel_spare_fill(&spare, 0);
    uint64_t due = spare.made_ns + kSecond;
    CHECK(channel_spare_tick(&spare, spare.made_ns) == due);
    CHECK(channel_spare_tick(&spare, due - 1) == due);
    REQUIRE(spare.parts);
    CHECK(channel_spare_tick(&spare, due) == 0);
    CHECK_FALSE(spare.parts);
    CHECK(entries("/proc/self/fd") == before);
}

TEST_CASE("a spare that is dropped leaves nothing behind") {
    channel_spare spare = wanted();
    channel_spare_drop(&spare);
    size_t before = entries("/proc/self/fd");
    channel_spare_fill(&spare, 0);
    REQUIRE(spare.parts);
    CHECK(entries("/proc/self/fd") == before + 3);
    channel_spare_drop(&spare);
    CHECK(entries("/proc/self/fd") == before);
    CHECK_FALSE(spare.parts);
}

TEST_CASE("a host near its limits has no spare") {
    channel_spare spare = wanted();
    SUBCASE("half of its descriptors are in use") {
        int lowest = ::dup(0);
        ::close(lowest);
        {
            Limit limit(RLIMIT_NOFILE, static_cast<rlim_t>(2 * lowest));
            REQUIRE(limit.is_set());
            channel_spare_fill(&spare, 0);
            CHECK_FALSE(spare.parts);
        }
        Limit limit(RLIMIT_NOFILE, static_cast<rlim_t>(2 * lowest + 8));
        REQUIRE(limit.is_set());
        channel_spare_fill(&spare, 0);
        CHECK(spare.parts);
    }
    SUBCASE("its address space has a limit") {
        Limit limit(RLIMIT_AS, rlim_t{1} << 60);
        if (limit.is_set()) { // qemu-user says yes and does nothing
            channel_spare_fill(&spare, 0);
            CHECK_FALSE(spare.parts);
        }
    }
    SUBCASE("it may lock memory for a segment, but not for any number of them") {
        Limit limit(RLIMIT_MEMLOCK, berth_default_size(BERTH_SEGMENT_MAJOR));
        if (limit.is_set()) { // where the machine allows less nobody gets so far
            channel_spare_fill(&spare, 0);
            CHECK_FALSE(spare.parts);
        }
        Limit less(RLIMIT_MEMLOCK, 65536);
        REQUIRE(less.is_set());
        channel_spare_fill(&spare, 0);
        CHECK(spare.parts);
    }
    channel_spare_drop(&spare);
}

TEST_CASE("errno stays as it was, whether there is a spare or not") {
    channel_spare spare = wanted();
    errno = 4711;
    channel_spare_fill(&spare, -1); // not even a descriptor to try by
    CHECK(errno == 4711);
    CHECK_FALSE(spare.parts);
    channel_spare_fill(&spare, 0);
    CHECK(errno == 4711);
    CHECK(spare.parts);
    channel_spare_drop(&spare);
}
