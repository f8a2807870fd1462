// main() of tests whose threads are held at points of the client (proto/kill_point.h).
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <iostream>
#include <thread>

#include "held_point.h"

int main(int argc, char **argv) {
    berth::test::mark_environment();
    berth::test::HeldPoint::enable();
    std::thread([] {}).join(); // a sanitizer starts its own thread with the first one, for good
    std::cout << std::unitbuf;
    return doctest::Context(argc, argv).run();
}
