#include "supervisor/group_set.h"

#include <doctest/doctest.h>
#include <numeric>
#include <set>

using namespace berth;

TEST_CASE("a set of groups has each once, in order, however they were given") {
    CHECK(GroupSet{4, 3, 4, 1}.sorted() == std::vector<gid_t>{1, 3, 4});
    CHECK(GroupSet{3, 4} == GroupSet{4, 3, 3});
    CHECK(GroupSet{3} != GroupSet{4});
    CHECK(GroupSet{3} != GroupSet{3, 4});
    CHECK(GroupSet{} == GroupSet(std::vector<gid_t>()));
    CHECK(GroupSet{} != GroupSet{0});
    CHECK(GroupSet{}.sorted().empty());
}

TEST_CASE("equal sets are one object, which ends with the last that has it") {
    size_t before = GroupSet::count();
    {
        std::vector<gid_t> many(4096);
        std::iota(many.begin(), many.end(), 700'000);
        GroupSet first(many), copy = first;
        std::vector<GroupSet> others;
        for (int i = 0; i < 100; i++)
            others.emplace_back(many);
        CHECK(GroupSet::count() == before + 1);
        CHECK(&others.back().sorted() == &first.sorted());
        many.back()++;
        CHECK(GroupSet(many) != first);
        CHECK(GroupSet::count() == before + 1);
        first = GroupSet{};
        others.clear();
        CHECK(GroupSet::count() == before + 1);
        CHECK(copy.sorted().size() == 4096);
    }
    CHECK(GroupSet::count() == before);
}

TEST_CASE("sets of groups have an order, as keys need") {
    GroupSet a{700'001}, b{700'002}, none;
    CHECK((a < b) != (b < a));
    CHECK_FALSE(a < a);
    CHECK(none < a);
    std::set<GroupSet> all{a, b, none, GroupSet{700'002}};
    CHECK(all.size() == 3);
    CHECK(all.contains(GroupSet{700'001}));
    CHECK_FALSE(all.contains(GroupSet{700'003}));
}
