#include "cases.h"

#include <thread>

#include "cbor_text.h"
#include "processes.h"

namespace berth::test {
namespace {

void count_event(int, const uint8_t *, size_t, void *user_data) { static_cast<Tally *>(user_data)->events++; }

std::string numbered(uint32_t i) { return "number " + std::to_string(i); }

// Calls of other threads on the same context, for as long as it lives.
class Callers {
  public:
    Callers(Room &room, int threads, uint32_t later_ms) {
        for (int i = 0; i < threads; i++)
            threads_.emplace_back([&room, this, later_ms, i] {
                for (uint32_t n = 0; !over_; n++)
                    if (int ret = i % 2 ? room.call(numbered(n)) : room.call_later(later_ms, numbered(n)))
                        if (ret != BERTH_RET_BUSY)
                            sleep_ms(1);
            });
    }
    ~Callers() {
        over_ = true;
        for (auto &thread : threads_)
            thread.join();
    }

  private:
    std::atomic<bool> over_{false};
    std::vector<std::thread> threads_;
};

} // namespace

void mixture(Scene &scene) {
    Room room(scene, {});
    if (!room.opened())
        return;
    berth_listen(room.handle(), "tick", count_event, &scene.tally, nullptr);
    for (uint32_t i = 0, rounds = scene.up_to(60); i < rounds; i++)
        switch (scene.random() % 4) {
        case 0: room.submit_later(0, numbered(i)); break;
        case 1: room.submit_later(scene.up_to(20), numbered(i)); break;
        case 2: room.emit(5, 16); break;
        default: room.call(numbered(i));
        }
}

void pings(Scene &scene) {
    Room room(scene, {.stale_warn_ms = 1});
    if (!room.opened())
        return;
    Callers callers(room, 2, 1);
    for (uint32_t i = 0; i < 40; i++) {
        room.submit_later(scene.up_to(10), numbered(i));
        room.call(numbered(i));
        if (i % 8 == 7)
            room.all_answered();
    }
}

void cancels(Scene &scene) {
    Room room(scene, {.max_in_flight = 8});
    if (!room.opened())
        return;
    Callers callers(room, 2, 1);
    for (uint32_t i = 0; i < 60; i++) {
        room.submit_later(scene.up_to(3), numbered(i));
        if (scene.random() % 2)
            std::this_thread::sleep_for(std::chrono::microseconds(scene.up_to(3000)));
        room.cancel_one(scene.up_to(7));
    }
}

void two_listeners(Scene &scene) {
    Room room(scene, {});
    if (!room.opened())
        return;
    for (int i = 0; i < 2; i++)
        berth_listen(room.handle(), "tick", nullptr, nullptr, nullptr);
    Callers callers(room, 1, 1);
    for (uint32_t i = 0; i < 10; i++) {
        room.emit(2, 200000);
        room.submit_later(scene.up_to(3), numbered(i), false);
        for (int n = 0; n < 8 && room.reap(20) >= 0; n++) {
        }
    }
}

void one_in_flight(Scene &scene) {
    Room room(scene, {.max_in_flight = 1, .stale_warn_ms = 1});
    if (!room.opened())
        return;
    for (uint32_t i = 0; i < 10; i++) {
        if (scene.random() % 2)
            room.call_later(scene.up_to(4), numbered(i), 2);
        else
            room.submit_later(scene.up_to(4), numbered(i));
        Watch::Within within(scene.watch, "the only slot, to be given back", 0);
        while (room.call(numbered(i)) == BERTH_RET_BUSY)
            sleep_ms(1);
    }
}

void idle_restart(Scene &scene) {
    Room room(scene, {.flags = BERTH_RESTART, .max_in_flight = 1 + scene.up_to(1), .open_timeout_ms = 1000});
    if (!room.opened())
        return;
    std::string die = cbor(R"({"how": "abort"})");
    berth_submit(room.handle(), method_id("die"), die.data(), die.size(),
                 [](int, const uint8_t *, size_t, void *) {}, nullptr, nullptr);
    for (int i = 0; i < 15; i++) {
        sleep_ms(100);
        berth_reset(scene.client, "echo", nullptr); // or crashes in a row make restarts wait
    }
    // In a calm case nothing but that one death is there to end it.
    Watch::Within within(scene.watch, "a context to come back", 0);
    int ret;
    while ((ret = room.call("back")) == BERTH_RET_WORKER_DIED || ret == BERTH_RET_BUSY) {
        if (!scene.calm)
            return;
        sleep_ms(5);
    }
    if (scene.calm && ret != BERTH_RET_OK)
        scene.tally.fault(std::string("a context with BERTH_RESTART ended with ") + berth_ret_name(ret));
}

void refused_open(Scene &scene) {
    struct Waiting {
        Tally &tally;
        std::atomic<int> &done;
        berth_context context{0};
    };
    std::atomic<int> done{0};
    auto *waiting = new Waiting{scene.tally, done};
    auto refused = [](int ret, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<Waiting *>(user_data);
        if (ret == BERTH_RET_OK)
            self->tally.fault("an open of a module that is not there");
        auto &done = self->done;
        delete self;
        done++;
    };
    if (berth_open_submit(scene.client, "nosuch", nullptr, 0, nullptr, refused, waiting, &waiting->context)) {
        delete waiting;
        return;
    }
    Watch::Within within(scene.watch, "the answer to an open", 60000);
    eventually([&] { return done > 0; }, std::chrono::hours(1));
    scene.tally.refused++;
}

void disconnect(Scene &scene) {
    Scene own{scene.socket, {0}, scene.tally, scene.watch, std::mt19937(scene.random()), scene.calm};
    berth_options options{};
    options.size = sizeof options;
    options.flags = BERTH_NO_PRIVATE;
    options.socket_path = scene.socket.c_str();
    {
        Watch::Within within(scene.watch, "berth_connect", 10000);
        if (berth_connect(&options, &own.client) != BERTH_RET_OK)
            return;
    }
    {
        Room one(own, {.max_in_flight = 16}), two(own, {.stale_warn_ms = 1});
        std::vector<std::thread> threads;
        std::atomic<bool> over{false};
        for (Room *room : {&one, &two})
            threads.emplace_back([room, &over] {
                for (uint32_t i = 0; !over && i < 5000 && room->opened(); i++)
                    if (room->submit_later(i % 4, numbered(i)) == BERTH_RET_INVALID_CTX)
                        return;
            });
        sleep_ms(static_cast<int>(scene.up_to(20)));
        Watch::Within within(scene.watch, "berth_disconnect", 30000);
        int ret = berth_disconnect(own.client);
        if (ret != BERTH_RET_OK)
            scene.tally.fault(std::string("the disconnect: ") + berth_ret_name(ret));
        over = true;
        for (auto &thread : threads)
            thread.join();
    }
}

} // namespace berth::test
