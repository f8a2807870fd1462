// A bundled module with a context, called directly, and its requests as JSON.
#pragma once

#include "direct_module.h"

#include <cstdlib>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace berth::test {

using Json = nlohmann::json;

inline std::string cbor(const Json &value) {
    auto bytes = Json::to_cbor(value);
    return {bytes.begin(), bytes.end()};
}

inline Json from_cbor(const std::string &bytes) { return Json::from_cbor(bytes); }

inline Json blob(std::initializer_list<uint8_t> bytes) { return Json::binary(std::vector<uint8_t>(bytes)); }

inline std::unique_ptr<DirectModule> load_module(const char *variable) {
    const char *path = std::getenv(variable);
    REQUIRE_MESSAGE(path, variable << " is to hold the path of a module");
    std::string why;
    auto module = DirectModule::load(path, &why);
    REQUIRE_MESSAGE(module, why);
    return module;
}

class ModuleFixture {
  public:
    explicit ModuleFixture(const char *variable) : module_(load_module(variable)) {}
    ~ModuleFixture() { CHECK(module_->stray_answers() == 0); }

    DirectModule &module() { return *module_; }

    void create(const Json &config = Json::object()) {
        std::string why;
        REQUIRE_MESSAGE(module_->create(cbor(config), &why), why);
    }
    std::string create_fails(const std::string &config) {
        std::string why;
        REQUIRE_FALSE(module_->create(config, &why));
        return why;
    }
    Json ok(const char *method, const Json &request) {
        DirectAnswer answer = module_->call(method, cbor(request));
        REQUIRE_MESSAGE(answer.ret == 0, answer.bytes);
        return from_cbor(answer.bytes);
    }
    std::string error(const char *method, const Json &request) { return error_of(method, cbor(request)); }
    std::string error_of(const char *method, const std::string &bytes) {
        DirectAnswer answer = module_->call(method, bytes);
        REQUIRE(answer.ret == 1);
        return answer.bytes;
    }

  private:
    std::unique_ptr<DirectModule> module_;
};

} // namespace berth::test
