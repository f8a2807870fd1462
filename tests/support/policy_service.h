// A service whose modules echo and probe have the policies that a test wants.
#pragma once

#include <memory>
#include <string>

#include "manifests.h"
#include "service.h"

namespace berth::test {

class PolicyService {
  public:
    explicit PolicyService(const std::string &policies) {
        manifests_.add_echo(policies);
        manifests_.add_test_module("probe", policies);
        service_ = std::make_unique<Service>(Service::Options{.modules = manifests_.path()});
    }
    const std::string &socket() const { return service_->socket(); }

  private:
    Manifests manifests_;
    std::unique_ptr<Service> service_;
};

} // namespace berth::test
