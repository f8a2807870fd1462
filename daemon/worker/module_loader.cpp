#include "worker/module_loader.h"

#include <cstring>
#include <dlfcn.h>
#include <unistd.h>

#include "base/adapter_entry.h"
#include "base/unique_fd.h"
#include "control.h"

namespace berth {
namespace {

std::string check_abi(const struct berth_module *module) {
    if (!module)
        return "berth_module() returned NULL: the module cannot work here";
    if (module->abi != BERTH_MODULE_ABI)
        return "module ABI " + std::to_string(module->abi) + ", this worker speaks " + std::to_string(BERTH_MODULE_ABI);
    if (module->size < sizeof(struct berth_module))
        return "the module's description is " + std::to_string(module->size) + " bytes long, not " +
               std::to_string(sizeof(struct berth_module));
    if (!module->name || !module->version)
        return "the module has no name or no version";
    if (!module->handle || (module->method_count && !module->methods))
        return "the module has methods but no handle, or none at all";
    return {};
}

Result<std::string> read_settings() {
    UniqueFd fd(kAdapterSettingsFd);
    std::string settings;
    char part[4096];
    ssize_t size;
    while ((size = ::read(fd.get(), part, sizeof part)) != 0) {
        if (size < 0 && errno != EINTR)
            return Error{1, std::string("the adapter's settings: ") + std::strerror(errno)};
        if (size > 0)
            settings.append(part, static_cast<size_t>(size));
    }
    return settings;
}

} // namespace

Result<Module> Module::load(const std::string &path, const berth_worker *worker) {
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return Error{1, std::string("cannot load the module: ") + dlerror()};
    auto entry = reinterpret_cast<berth_module_entry>(dlsym(library, "berth_module"));
    if (!entry)
        return Error{1, std::string("not a berth module: ") + dlerror()};
    return described(path, entry(worker));
}

Result<Module> Module::load_adapted(const std::string &adapter, const std::string &library,
                                    const berth_worker *worker) {
    auto settings = read_settings();
    if (!settings)
        return settings.error();
    void *loaded = dlopen(adapter.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!loaded)
        return Error{1, std::string("cannot load the adapter: ") + dlerror()};
    auto entry = reinterpret_cast<AdapterEntry>(dlsym(loaded, kAdapterSymbol));
    if (!entry)
        return Error{1, std::string("not an adapter: ") + dlerror()};
    char why[4096] = "";
    AdapterInput input{library.c_str(), settings->data(), settings->size()};
    const struct berth_module *module = entry(worker, &input, why, sizeof why);
    if (!module)
        return Error{1, why};
    return described(library, module);
}

Result<Module> Module::described(const std::string &path, const struct berth_module *abi) {
    if (auto why = check_abi(abi); !why.empty())
        return Error{1, path + ": " + why};
    Module module(abi);
    if (auto why = module.index_methods(); !why.empty())
        return Error{1, path + ": " + why};
    return module;
}

std::string Module::index_methods() {
    size_t size = 16;
    while (size < 2 * size_t{module_->method_count})
        size *= 2;
    table_.resize(size);
    mask_ = size - 1;
    for (uint32_t i = 0; i < module_->method_count; i++) {
        const char *name = module_->methods[i].name;
        size_t len = name ? std::strlen(name) : 0;
        if (len == 0 || len > 255)
            return "method " + std::to_string(i) + " has no name, or one of more than 255 bytes";
        uint32_t id = berth_method_id(name, len);
        if (int other = method_index(id); other >= 0)
            return "methods " + std::string(module_->methods[other].name) + " and " + name + " have the same id";
        size_t at = id & mask_;
        while (table_[at].index >= 0)
            at = (at + 1) & mask_;
        table_[at] = {id, static_cast<int32_t>(i)};
    }
    return {};
}

std::string Module::method_ids() const {
    std::string ids;
    for (uint32_t i = 0; i < module_->method_count; i++) {
        uint32_t id = berth_method_id(module_->methods[i].name, std::strlen(module_->methods[i].name));
        ids.append(reinterpret_cast<const char *>(&id), sizeof id);
    }
    return ids;
}

std::string Module::method_names() const {
    std::string names;
    for (uint32_t i = 0; i < module_->method_count; i++)
        names += (i ? "\n" : "") + std::string(module_->methods[i].name);
    return names;
}

} // namespace berth
