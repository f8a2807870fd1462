#include <doctest/doctest.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

#include "ring_pair.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kFrames = 50000;
#else
constexpr uint64_t kFrames = 1000000;
#endif

TEST_CASE("an empty ring lets its consumer sleep, a filled one does not") {
    for (uint32_t how : {BERTH_ASLEEP_FUTEX, BERTH_ASLEEP_FD}) {
        RingPair ring(4096);
        CHECK(berth_ring_prepare_wait(&ring.consumer, how) == 1);
        CHECK(ring.control->waiting == how);
        CHECK(berth_ring_finish_wait(&ring.consumer) == how);
        CHECK(ring.control->waiting == BERTH_AWAKE);
        REQUIRE(ring.send("x") == 0);
        CHECK(ring.due == BERTH_AWAKE);
        CHECK(berth_ring_prepare_wait(&ring.consumer, how) == 0);
        CHECK(ring.control->waiting == BERTH_AWAKE);
        REQUIRE(ring.send("y") == 0);
        REQUIRE(ring.receive());
        CHECK(berth_ring_prepare_wait(&ring.consumer, how) == 0);
    }
}

TEST_CASE("the first frame for a sleeper makes its wakeup due, the second does not") {
    for (uint32_t how : {BERTH_ASLEEP_FUTEX, BERTH_ASLEEP_FD}) {
        RingPair ring(4096);
        REQUIRE(berth_ring_prepare_wait(&ring.consumer, how) == 1);
        REQUIRE(ring.send("x") == 0);
        CHECK(ring.due == how);
        REQUIRE(ring.send("y") == 0);
        CHECK(ring.due == BERTH_AWAKE);
        CHECK(berth_ring_finish_wait(&ring.consumer) == BERTH_AWAKE);
    }
}

TEST_CASE("a wakeup taken for a frame read before does not let the consumer sleep on") {
    RingPair ring(4096);
    REQUIRE(ring.send("x") == 0);
    REQUIRE(ring.receive());
    REQUIRE(berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FUTEX) == 1);
    // The producer of "x" only now comes to look at `waiting`.
    REQUIRE(berth_ring_publish(&ring.producer) == BERTH_ASLEEP_FUTEX);
    berth_ring_wake_futex(ring.control.get());
    CHECK(berth_ring_sleep(&ring.consumer, berth_now_ns() + 2000000000u) == -EAGAIN);
}

TEST_CASE("a kick before the sleep ends it, and says how the consumer waited") {
    RingPair ring(4096);
    CHECK(berth_ring_kick(ring.control.get()) == BERTH_AWAKE);
    REQUIRE(berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FUTEX) == 1);
    CHECK(berth_ring_kick(ring.control.get()) == BERTH_ASLEEP_FUTEX);
    CHECK(berth_ring_sleep(&ring.consumer, berth_now_ns() + 2000000000u) == -EAGAIN);
    CHECK(berth_ring_finish_wait(&ring.consumer) == BERTH_AWAKE);
    REQUIRE(berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FD) == 1);
    CHECK(berth_ring_kick(ring.control.get()) == BERTH_ASLEEP_FD);
}

TEST_CASE("a kick wakes a sleeper whose producer took `waiting` and died before its wakeup") {
    RingPair ring(4096);
    REQUIRE(berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FUTEX) == 1);
    int rc = 0;
    std::thread sleeper([&] {
        while ((rc = berth_ring_sleep(&ring.consumer, berth_now_ns() + 20000000000u)) == -EINTR) {
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50)); // for it to fall asleep
    CHECK(berth_ring_publish(&ring.producer) == BERTH_ASLEEP_FUTEX);
    berth_ring_kick(ring.control.get());
    sleeper.join();
    CHECK(rc != -ETIMEDOUT);
}

TEST_CASE("a sleep ends at its deadline and leaves errno alone") {
    RingPair ring(4096);
    REQUIRE(berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FUTEX) == 1);
    errno = 4711;
    uint64_t deadline = berth_now_ns() + 20000000;
    int rc;
    while ((rc = berth_ring_sleep(&ring.consumer, deadline)) == -EINTR) {
    }
    CHECK(rc == -ETIMEDOUT);
    CHECK(errno == 4711);
    CHECK(berth_now_ns() >= deadline);
    CHECK(berth_ring_finish_wait(&ring.consumer) == BERTH_ASLEEP_FUTEX);
}

namespace {

// Sends kFrames numbered frames, each as soon as there is room; `wake` makes the wakeup that is due.
template <class Wake> void produce(RingPair &ring, uint64_t frames, Wake wake) {
    // The consumer falls asleep at least once: before there is anything.
    while (__atomic_load_n(&ring.control->waiting, __ATOMIC_ACQUIRE) == BERTH_AWAKE)
        std::this_thread::yield();
    for (uint64_t i = 0; i < frames; i++) {
        uint8_t *payload = nullptr;
        auto size = static_cast<uint32_t>(8 + i % 200);
        while (berth_ring_reserve(&ring.producer, size, &payload) == -ENOSPC)
            std::this_thread::yield();
        std::memset(payload, static_cast<int>(i & 0xff), size);
        std::memcpy(payload, &i, sizeof i);
        berth_frame_header header{};
        header.size = size;
        header.kind = BERTH_FRAME_REQUEST;
        header.id = i;
        if (uint32_t due = berth_ring_commit(&ring.producer, &header))
            wake(due);
        if (i % 1024 == 1023)
            std::this_thread::yield(); // lets the consumer fall asleep now and then
    }
}

// Receives them all, asleep by `sleep` whenever there is none. Returns how many were wrong.
template <class Sleep> uint64_t consume(RingPair &ring, uint64_t frames, Sleep sleep) {
    uint64_t wrong = 0;
    berth_frame_header header;
    const uint8_t *payload = nullptr;
    for (uint64_t i = 0; i < frames;) {
        int rc = berth_ring_peek(&ring.consumer, &header, &payload);
        if (rc < 0)
            return ++wrong;
        if (rc == 0) {
            sleep();
            continue;
        }
        uint64_t number;
        std::memcpy(&number, payload, sizeof number);
        wrong += number != i || header.id != i || header.size != 8 + i % 200;
        if (header.size > 8)
            wrong += payload[header.size - 1] != static_cast<uint8_t>(i);
        berth_ring_advance(&ring.consumer);
        i++;
    }
    return wrong;
}

} // namespace

TEST_CASE("two threads, asleep on the futex: every frame arrives, whole and in order") {
    RingPair ring(1 << 16);
    std::thread producer([&] {
        produce(ring, kFrames, [&](uint32_t due) {
            if (due == BERTH_ASLEEP_FUTEX)
                berth_ring_wake_futex(ring.control.get());
        });
    });
    uint64_t slept = 0;
    uint64_t wrong = consume(ring, kFrames, [&] {
        if (!berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FUTEX))
            return;
        slept++;
        berth_ring_sleep(&ring.consumer, 0);
        berth_ring_finish_wait(&ring.consumer);
    });
    producer.join();
    CHECK(wrong == 0);
    CHECK(slept > 0);
}

TEST_CASE("two threads, asleep in poll: every frame arrives, whole and in order") {
    RingPair ring(1 << 16);
    int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    REQUIRE(fd >= 0);
    std::thread producer([&] {
        produce(ring, kFrames / 10, [&](uint32_t due) {
            if (due == BERTH_ASLEEP_FD)
                ::eventfd_write(fd, 1);
        });
    });
    uint64_t wrong = consume(ring, kFrames / 10, [&] {
        if (!berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FD))
            return;
        pollfd poller{fd, POLLIN, 0};
        while (::poll(&poller, 1, -1) != 1) {
        }
        berth_ring_finish_wait(&ring.consumer);
        eventfd_t count;
        ::eventfd_read(fd, &count);
    });
    producer.join();
    ::close(fd);
    CHECK(wrong == 0);
}
