extern "C" {
#include "connection/socket_trust.h"
}

#include <doctest/doctest.h>
#include <initializer_list>
#include <sys/stat.h>

namespace {

constexpr uint32_t kOwn = 1000, kSaid = 1001, kOther = 1002;
constexpr int kSocketsFolder = 0, kAbove = 1;

socket_trust searched(uint32_t said = 0) { return {kOwn, said, 1}; }
socket_trust named(uint32_t said = 0) { return {kOwn, said, 0}; }

folder_fault fault(uint32_t mode, uint32_t uid, int above) {
    socket_trust trust = searched(kSaid);
    return socket_trust_folder(&trust, S_IFDIR | mode, uid, above);
}

bool believes(const socket_trust &trust, uint32_t uid) { return socket_trust_user(&trust, uid) != 0; }

} // namespace

TEST_CASE("root and the host itself are believed, others only where somebody named both socket and user") {
    for (const socket_trust &trust : {searched(), searched(kSaid), named(), named(kSaid)}) {
        CHECK(believes(trust, 0));
        CHECK(believes(trust, kOwn));
        CHECK(!believes(trust, kOther));
    }
    CHECK(believes(named(kSaid), kSaid));
    CHECK(!believes(named(), kSaid));
    CHECK(!believes(searched(kSaid), kSaid));
}

TEST_CASE("root's host believes root, and no user for whom nothing was said") {
    socket_trust trust{0, 0, 0};
    CHECK(believes(trust, 0));
    CHECK(!believes(trust, kOwn));
}

TEST_CASE("a folder of a socket is without fault where only its owner can write, who is root or the host") {
    for (uint32_t uid : {0u, kOwn}) {
        for (uint32_t mode : {0700u, 0711u, 0750u, 0755u, 0500u, 01755u, 02755u})
            for (int above : {kSocketsFolder, kAbove})
                CHECK(fault(mode, uid, above) == FOLDER_NO_FAULT);
        for (uint32_t mode : {0770u, 0720u, 02775u})
            for (int above : {kSocketsFolder, kAbove})
                CHECK(fault(mode, uid, above) == FOLDER_OPEN_TO_A_GROUP);
        for (uint32_t mode : {0777u, 0702u, 0757u})
            for (int above : {kSocketsFolder, kAbove})
                CHECK(fault(mode, uid, above) == FOLDER_OPEN_TO_ALL);
    }
}

TEST_CASE("a folder of somebody else's is at fault, whatever its mode, and whoever may own a named socket") {
    for (uint32_t uid : {kSaid, kOther})
        for (uint32_t mode : {0700u, 0755u, 0777u, 01777u, 0u})
            for (int above : {kSocketsFolder, kAbove})
                CHECK(fault(mode, uid, above) == FOLDER_OF_ANOTHER);
}

TEST_CASE("a sticky folder keeps what is in it for its owner, but not from others who add to it") {
    for (uint32_t mode : {01777u, 01770u, 03775u})
        CHECK(fault(mode, 0, kAbove) == FOLDER_NO_FAULT);
    CHECK(fault(01777, 0, kSocketsFolder) == FOLDER_OPEN_TO_ALL);
    CHECK(fault(01770, 0, kSocketsFolder) == FOLDER_OPEN_TO_A_GROUP);
}
