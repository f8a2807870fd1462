// What a worker left in its crash area, good and garbage, and the report made of it.
#include <cstring>
#include <doctest/doctest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "supervisor/crash_report.h"

using namespace berth;

namespace {

using Json = nlohmann::json;

std::string bytes_of(const berth_crash_area &area) {
    return {reinterpret_cast<const char *>(&area), sizeof area};
}

std::unique_ptr<berth_crash_area> good() {
    auto area = std::make_unique<berth_crash_area>();
    area->running.doing = BERTH_DOING_REQUEST;
    area->running.method = 1;
    area->running.id = 77;
    area->running.size = 10;
    area->stage = BERTH_CRASH_SYMBOLS;
    area->signal = 11;
    area->code = 1;
    area->thread = 4711;
    area->address = 0xdead;
    std::strcpy(area->thread_name, "worker");
    area->register_count = 2;
    std::strcpy(area->registers[0].name, "rip");
    area->registers[0].value = 5;
    std::memcpy(area->registers[1].name, "12345678", 8); // without an end
    area->frame_count = 2;
    area->frames[0].address = 100;
    area->frames[1].address = 200;
    area->frames[1].offset = 20;
    area->frames[1].symbol_offset = 3;
    std::strcpy(area->frames[1].module, "/lib/a.so");
    std::strcpy(area->frames[1].symbol, "f");
    const char maps[] = "one\ntwo\nthr";
    std::memcpy(area->maps, maps, sizeof maps - 1);
    area->maps_size = sizeof maps - 1;
    return area;
}

WorkerDeath death() {
    WorkerDeath death;
    death.module = "echo";
    death.method_names = "echo\ndie";
    death.pid = 9;
    death.signal = 11;
    death.state = "Leased";
    death.log = "first\nsecond";
    return death;
}

Json report(const WorkerDeath &death, const CrashRecord &record) {
    auto bytes = crash_report(death, record);
    CHECK(bytes.size() <= kMaxCrashReport);
    return Json::from_cbor(bytes);
}

} // namespace

TEST_CASE("a crash area is read as it was written") {
    auto record = parse_crash_area(bytes_of(*good()));
    CHECK(record.running.doing == BERTH_DOING_REQUEST);
    CHECK(record.running.id == 77);
    REQUIRE(record.fault);
    CHECK(record.fault->signal == 11);
    CHECK(record.fault->thread_name == "worker");
    REQUIRE(record.fault->registers.size() == 2);
    CHECK(record.fault->registers[0] == std::pair<std::string, uint64_t>("rip", 5));
    CHECK(record.fault->registers[1].first == "12345678");
    REQUIRE(record.frames.size() == 2);
    CHECK(record.frames[0].module.empty());
    CHECK(record.frames[1].symbol == "f");
    CHECK(record.maps == std::vector<std::string>{"one", "two"});
    CHECK(record.complete);
}

TEST_CASE("an area that no handler wrote has what was running, and no more") {
    auto area = good();
    area->stage = BERTH_CRASH_NOTHING;
    auto record = parse_crash_area(bytes_of(*area));
    CHECK_FALSE(record.fault);
    CHECK(record.frames.empty());
    CHECK(record.maps.empty());
    CHECK(record.running.size == 10);
    CHECK_FALSE(parse_crash_area("").fault);
    CHECK(parse_crash_area("").running.doing == BERTH_DOING_NOTHING);
}

TEST_CASE("numbers that cannot be are bounded, or end it") {
    auto area = good();
    area->register_count = area->frame_count = area->maps_size = ~0u;
    auto record = parse_crash_area(bytes_of(*area));
    CHECK(record.fault->registers.size() == BERTH_CRASH_MAX_REGISTERS);
    CHECK(record.frames.size() == BERTH_CRASH_MAX_FRAMES);
    CHECK(record.maps.size() == 2);
    area->running.doing = 4;
    area->stage = 5;
    record = parse_crash_area(bytes_of(*area));
    CHECK(record.running.doing == BERTH_DOING_NOTHING);
    CHECK_FALSE(record.fault);
}

TEST_CASE("a handler that did not come to its end leaves what it had") {
    auto area = good();
    area->stage = BERTH_CRASH_FAULT;
    auto record = parse_crash_area(bytes_of(*area));
    CHECK(record.fault);
    CHECK(record.frames.size() == 2);
    CHECK_FALSE(record.complete);
}

TEST_CASE("control characters in what the worker wrote come out printable") {
    auto area = good();
    std::strcpy(area->thread_name, "\033[2J\n\xff");
    CHECK(parse_crash_area(bytes_of(*area)).fault->thread_name == "\\x1b[2J\\x0a\\xff");
}

TEST_CASE("the report names the method that ran, the frames and the last lines") {
    Json json = report(death(), parse_crash_area(bytes_of(*good())));
    CHECK(json["request"] == Json{{"method", "die"}, {"id", 77}, {"size", 10}});
    CHECK(json["doing"] == "request");
    CHECK(json["signal"] == 11);
    CHECK_FALSE(json.contains("status"));
    CHECK(json["context"].is_null());
    CHECK(json["log"] == Json{"first", "second"});
    CHECK(json["backtrace"][0] == Json{{"address", 100}});
    CHECK(json["backtrace"][1]["module"] == "/lib/a.so");
    CHECK(json["registers"][0] == Json{{"name", "rip"}, {"value", 5}});
    CHECK(json["complete"] == true);
}

TEST_CASE("a report without a fault says so by leaving it out, and a method that is none has no name") {
    auto area = good();
    area->stage = BERTH_CRASH_NOTHING;
    area->running.method = 2;
    auto killed = death();
    killed.signal = 0;
    killed.status = 3;
    killed.killed = "Draining for too long";
    Json json = report(killed, parse_crash_area(bytes_of(*area)));
    CHECK_FALSE(json.contains("fault"));
    CHECK(json["request"]["method"] == "");
    CHECK(json["status"] == 3);
    CHECK(json["killed"] == "Draining for too long");
}

TEST_CASE("an area full of garbage gives a bounded report, always") {
    std::mt19937 random(11);
    for (int round = 0; round < 50; round++) {
        auto area = std::make_unique<berth_crash_area>();
        auto *bytes = reinterpret_cast<unsigned char *>(area.get());
        for (size_t i = 0; i < sizeof *area; i++)
            bytes[i] = static_cast<unsigned char>(round % 2 ? random() : 0x80 + random() % 128);
        for (size_t i = 0; i < BERTH_CRASH_MAX_MAPS; i += 1 + random() % 200)
            area->maps[i] = '\n';
        area->stage = random() % 5;
        area->running.doing = random() % 4;
        Json json = report(death(), parse_crash_area(bytes_of(*area)));
        CHECK(json["module"] == "echo");
        if (json.contains("maps"))
            CHECK(json["maps_cut"].is_boolean());
    }
}
