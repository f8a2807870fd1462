// main() of the executables whose tests start processes: each of those carries this program's mark.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <iostream>
#include <thread>

#include "killable_host.h"
#include "processes.h"

int main(int argc, char **argv) {
    if (argc == 4 && std::strcmp(argv[1], "--host") == 0)
        return berth::test::run_killable_host(argv[2], std::atoi(argv[3]));
    if (argc == 6 && std::strcmp(argv[1], "--host") == 0)
        return berth::test::run_waiting_host(argv[2], std::atoi(argv[3]), argv[4], argv[5]);
    berth::test::mark_environment();
    std::thread([] {}).join(); // a sanitizer starts its own thread with the first one, for good
    std::cout << std::unitbuf; // what was said before a hang is to be seen
    return doctest::Context(argc, argv).run();
}
