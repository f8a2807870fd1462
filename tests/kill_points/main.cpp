// main() of the kill points' executable: a test program, or a scenario's host.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <iostream>
#include <thread>

#include "processes.h"
#include "scenario_process.h"

int main(int argc, char **argv) {
    if (int code = berth::test::ScenarioProcess::main(argc, argv); code >= 0)
        return code;
    berth::test::mark_environment();
    std::thread([] {}).join(); // a sanitizer starts its own thread with the first one, for good
    std::cout << std::unitbuf; // what was said before a hang is to be seen
    return doctest::Context(argc, argv).run();
}
