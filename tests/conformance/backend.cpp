#include "backend.h"

#include <doctest/doctest.h>

namespace berth::test {

std::unique_ptr<Instance> Backend::open(const std::string &module, const std::string &config) {
    std::string why;
    auto instance = open(module, config, &why);
    REQUIRE_MESSAGE(instance, why);
    return instance;
}

void on_every_backend(const std::function<void(Backend &)> &test, For which) {
    for (auto *make : {direct_backend, private_backend, service_backend}) {
        LeakChecked leaks;
        auto backend = make();
        INFO("backend: ", std::string(backend->name()));
        if (which == For::Hosted && !backend->hosted())
            MESSAGE(std::string(doctest::getContextOptions()->currentTest->m_name)
                    << ": not for the " << std::string(backend->name()));
        else
            test(*backend);
    }
}

} // namespace berth::test
