// The values of berth.hpp, without a supervisor.
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "fixture.h"

using namespace berth;

namespace {

// Small replies stand in the object, large ones in a block: INVALID_CTX has a small text.
Reply small_reply() {
    Reply reply;
    berth_call(berth_context{0}, 0, nullptr, 0, 0, reply.raw());
    return reply;
}

std::string shown(const Death &death) {
    auto text = [](const std::optional<int> &value) { return value ? std::to_string(*value) : "none"; };
    return text(death.signal) + "," + text(death.status) + "," + std::to_string(death.pid) + "," +
           std::to_string(death.uses) + "," + death.last_log;
}

} // namespace

TEST_CASE("bytes are viewed in any container of one-byte elements") {
    std::vector<uint8_t> vector{1, 2, 3};
    std::array<std::byte, 2> array{};
    CHECK(Bytes(vector).data() == vector.data());
    CHECK(Bytes(vector).size() == 3);
    CHECK(Bytes(array).size() == 2);
    CHECK(Bytes(std::span<const std::byte>(array)).size() == 2);
    CHECK(Bytes("text").size() == 4);
    CHECK(Bytes(std::string("a\0b", 3)).size() == 3);
    CHECK(Bytes(std::string_view("view")).text() == "view");
    CHECK(Bytes(static_cast<const char *>(nullptr)).empty());
    CHECK(Bytes().empty());
    CHECK(Bytes("text").str() == "text");
    CHECK(std::string(Bytes("abc").begin(), Bytes("abc").end()).size() == 3);
    static_assert(!std::is_convertible_v<std::vector<int>, Bytes>);
    static_assert(!std::is_convertible_v<std::vector<std::string>, Bytes>);
}

TEST_CASE("a small reply is whole after each move, and what it was moved from is empty") {
    Reply first = small_reply();
    std::string text = first.bytes().str();
    REQUIRE(!text.empty());
    auto second = std::make_unique<Reply>(std::move(first));
    CHECK(second->text() == text);
    CHECK(first.bytes().empty());
    Reply third;
    third = std::move(*second);
    second.reset(); // where it stood is gone
    CHECK(third.text() == text);
    Reply &same = third;
    third = std::move(same);
    CHECK(third.text() == text);
}

TEST_CASE("a copied reply is its own, moved or not, empty or not") {
    std::string bytes(100000, 'x');
    Reply reply = Reply::copy_of(bytes);
    bytes.assign(bytes.size(), 'y');
    Reply moved = std::move(reply);
    CHECK(moved.text() == std::string(100000, 'x'));
    moved = Reply::copy_of(Bytes());
    CHECK(moved.size() == 0);
}

TEST_CASE("a result is a value or an error") {
    Result<int> value = 7;
    CHECK(value.has_value());
    CHECK(*value == 7);
    CHECK(value.ret() == BERTH_RET_OK);
    Result<int> error = Error(BERTH_RET_BUSY, "too much");
    CHECK(!error);
    CHECK(error.ret() == BERTH_RET_BUSY);
    CHECK(error.error().text() == "too much");
    CHECK(error.error().message() == "BUSY: too much");
    CHECK(Error(BERTH_RET_DENIED).message() == "DENIED");
    CHECK(!error.error().death());
    Result<std::unique_ptr<int>> owner = std::make_unique<int>(5);
    std::unique_ptr<int> taken = *std::move(owner);
    CHECK(*taken == 5);
    CHECK(Result<void>().has_value());
    CHECK(Result<void>::from(BERTH_RET_OK).has_value());
    CHECK(Result<void>::from(BERTH_RET_FORKED).ret() == BERTH_RET_FORKED);
}

TEST_CASE("a death is read from its payload, as far as that goes") {
    std::string payload = test::cbor(R"({"last_log": "a\nb", "pid": 4711, "signal": 11, "uses": 300})");
    CHECK(shown(Death::from(payload)) == "11,none,4711,300,a\nb");
    CHECK(shown(Death::from(test::cbor(R"({"status": 0, "pid": 70000})"))) == "none,0,70000,0,");
    CHECK(Error(BERTH_RET_WORKER_DIED, payload).message() ==
          "WORKER_DIED: worker 4711 died of signal 11; its last lines:\na\nb");
    CHECK(Error(BERTH_RET_WORKER_DIED, test::cbor(R"({"status": 3, "pid": 5})")).message() ==
          "WORKER_DIED: worker 5 exited with status 3");
    CHECK(Error(BERTH_RET_WORKER_DIED, test::cbor(R"({"pid": 5})")).message() == "WORKER_DIED: worker 5 is gone");
    CHECK(Error(BERTH_RET_WORKER_DIED, payload).death().has_value());
}

TEST_CASE("a payload that is cut short, or of another shape, is read without a look past its end") {
    std::string payload = test::cbor(R"({"signal": 11, "pid": 4711, "last_log": "abc", "uses": 18446744073709551615})");
    for (size_t len = 0; len < payload.size(); len++) {
        std::vector<uint8_t> exact(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(len));
        exact.shrink_to_fit();
        Death death = Death::from(exact); // a sanitizer sees a read past it
        CHECK(death.last_log.size() <= 3);
    }
    CHECK(Death::from(payload).uses == UINT64_MAX);
    for (const char *json : {"[1, 2]", "7", "{\"pid\": [1]}", "{\"pid\": -1}", "{\"pid\": \"x\"}", "{\"signal\": null}"})
        CHECK(shown(Death::from(test::cbor(json))) == "none,none,0,0,");
    using namespace std::string_literals;
    for (const std::string &bytes : {"\xbf"s, "\xbb\xff\xff\xff\xff\xff\xff\xff\xff"s, "\xa1\x7b\xff\xff\xff\xff\xff\xff\xff\xff"s,
                                     "\xa1\x63pid\x1c"s, "\xa1\x63pid\x1b\x01"s})
        CHECK(shown(Death::from(bytes)) == "none,none,0,0,");
}

TEST_CASE("how a context ended is read from its payload") {
    Closed closed = Closed::from(test::cbor(R"({"outcome": "cancelled", "cut_off": 3})"));
    CHECK(closed.outcome == Closed::Outcome::Cancelled);
    CHECK(closed.cut_off == 3);
    CHECK(Closed::from(test::cbor(R"({"outcome": "drained"})")).outcome == Closed::Outcome::Drained);
    CHECK(Closed::from(test::cbor(R"({"outcome": "killed"})")).outcome == Closed::Outcome::Killed);
}

TEST_CASE("what is empty answers INVALID_CTX") {
    Context context;
    Client client;
    CHECK(!context);
    CHECK(!client);
    CHECK(context.method("echo").ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.call(Method{1}, "x", kForever).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.call("echo", "x", kForever).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.submit(Method{1}, "x", [](const Answer &) {}).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.async(Method{1}, "x").get().ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.async("echo", "x").get().ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.cancel(1).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.listen("tick", [](Bytes) {}).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.unlisten(1).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.close().ret() == BERTH_RET_INVALID_CTX);
    CHECK(client.open("echo").ret() == BERTH_RET_INVALID_CTX);
    CHECK(client.call_static("echo", "version", {}, kForever).ret() == BERTH_RET_INVALID_CTX);
    CHECK(client.status().ret() == BERTH_RET_INVALID_CTX);
    CHECK(client.disconnect().ret() == BERTH_RET_INVALID_CTX);
}
