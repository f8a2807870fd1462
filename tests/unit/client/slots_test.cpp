extern "C" {
#include "channel/slots.h"
}

#include <algorithm>
#include <doctest/doctest.h>

#include "status.h"

namespace {

// Nothing of a request is left anywhere in the array.
bool is_clear(const slots &slots) {
    auto *bytes = reinterpret_cast<const unsigned char *>(slots.requests);
    size_t size = slots.total * sizeof *slots.requests;
    return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; });
}

void use(slots &slots, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        request *taken = slots_take(&slots, REQUEST_CALLBACK);
        REQUIRE(taken);
        request_options options{};
        options.kind = REQUEST_CALLBACK;
        options.user_data = &slots;
        request_publish(taken, &options);
        taken->cancel_due = 7;
    }
}

} // namespace

TEST_CASE("slots are clear, whether their array is fresh or was another context's") {
    for (uint32_t used : {0u, 1u, 64u, 65u, 1024u}) {
        CAPTURE(used);
        slots slots;
        REQUIRE(slots_init(&slots, BERTH_DEFAULT_IN_FLIGHT, 0) == 0);
        CHECK(is_clear(slots));
        use(slots, used);
        slots_deinit(&slots);
    }
}

TEST_CASE("an array is kept for the next context of that size, once") {
    slots first, second, third, small, restarts;
    REQUIRE(slots_init(&first, BERTH_DEFAULT_IN_FLIGHT, 0) == 0);
    REQUIRE(slots_init(&second, BERTH_DEFAULT_IN_FLIGHT, 0) == 0);
    request *array = first.requests;
    CHECK(array != second.requests);
    use(first, 3);
    slots_deinit(&first);
    slots_deinit(&second); // there is one already
    REQUIRE(slots_init(&small, 16, 0) == 0);
    REQUIRE(slots_init(&third, BERTH_DEFAULT_IN_FLIGHT, 0) == 0);
    CHECK(small.requests != array);
    CHECK(third.requests == array);
    CHECK(is_clear(third));
    slots_deinit(&small);
    slots_deinit(&third);
    REQUIRE(slots_init(&restarts, BERTH_DEFAULT_IN_FLIGHT, 1) == 0); // it is one larger
    CHECK(restarts.requests != array);
    slots_deinit(&restarts);
}

TEST_CASE("an array that has a slot for creates is not another context's") {
    slots restarts, plain;
    REQUIRE(slots_init(&restarts, BERTH_DEFAULT_IN_FLIGHT - 1, 1) == 0);
    REQUIRE(restarts.total == BERTH_DEFAULT_IN_FLIGHT);
    request *create = slots_take(&restarts, REQUEST_CREATE_SILENT);
    REQUIRE(create);
    request_options options{};
    options.kind = REQUEST_CREATE_SILENT;
    request_publish(create, &options);
    slots_deinit(&restarts);
    REQUIRE(slots_init(&plain, BERTH_DEFAULT_IN_FLIGHT, 0) == 0);
    CHECK(is_clear(plain));
    slots_deinit(&plain);
}
