#include "supervisor/idle_places.h"

#include <doctest/doctest.h>

using namespace berth;

namespace {

constexpr size_t kMost = IdlePlaces::kMostOfAUser;

Identity identity(uid_t uid, gid_t gid) { return {uid, gid, {gid, 100'000}}; }

// As many as there are places, the first of them gid 1.
IdlePlaces all_taken(uid_t uid) {
    IdlePlaces places;
    for (gid_t gid = 1; gid <= kMost; gid++)
        CHECK_FALSE(places.take(identity(uid, gid)));
    return places;
}

} // namespace

TEST_CASE("a user's identities have a place each, until there are too many, and then those that came last") {
    IdlePlaces places = all_taken(1000);
    CHECK(places.has(identity(1000, 1)));
    CHECK(places.take(identity(1000, kMost + 1)) == identity(1000, 1));
    CHECK_FALSE(places.has(identity(1000, 1)));
    CHECK(places.has(identity(1000, 2)));
    CHECK(places.has(identity(1000, kMost + 1)));
    CHECK(places.take(identity(1000, 1)) == identity(1000, 2)); // it may come again
    CHECK(places.has(identity(1000, 1)));
}

TEST_CASE("whoever comes again keeps the place, and the one that has not for longest loses it") {
    IdlePlaces places = all_taken(1000);
    CHECK_FALSE(places.take(identity(1000, 1)));
    CHECK(places.take(identity(1000, kMost + 1)) == identity(1000, 2));
    CHECK(places.has(identity(1000, 1)));
}

TEST_CASE("one user's identities take no place of another's") {
    IdlePlaces places = all_taken(1000);
    CHECK_FALSE(places.take(identity(1001, 1)));
    CHECK_FALSE(places.has(identity(1001, 2)));
    for (gid_t gid = 1; gid <= kMost; gid++)
        CHECK(places.has(identity(1000, gid)));
    CHECK(places.users() == 2);
}

TEST_CASE("those that are not there any more are forgotten, and their user with the last") {
    IdlePlaces places = all_taken(1000);
    places.take(identity(1001, 1));
    places.keep_only([](const Identity &identity) { return identity.uid == 1000 && identity.gid != 1; });
    CHECK_FALSE(places.has(identity(1000, 1)));
    CHECK(places.has(identity(1000, 2)));
    CHECK_FALSE(places.has(identity(1001, 1)));
    CHECK(places.users() == 1);
    CHECK_FALSE(places.take(identity(1000, 99)));
    CHECK(places.has(identity(1000, 2)));
}
