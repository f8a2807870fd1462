// Loads a module's shared library and checks what it says of itself.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "module.h"

namespace berth {

class Module {
  public:
    // dlopen, entry point, ABI and method table; the error text includes dlerror's. Call on the library thread.
    static Result<Module> load(const std::string &path, const berth_worker *worker);
    // The same through an adapter (base/adapter_entry.h), with its settings from descriptor kAdapterSettingsFd.
    static Result<Module> load_adapted(const std::string &adapter, const std::string &library,
                                       const berth_worker *worker);

    const struct berth_module &abi() const { return *module_; }
    // The index of the method with this id, or -1.
    int method_index(uint32_t id) const {
        for (size_t at = id & mask_; table_[at].index >= 0; at = (at + 1) & mask_)
            if (table_[at].id == id)
                return table_[at].index;
        return -1;
    }
    std::string method_ids() const;   // 4 bytes each, for READY
    std::string method_names() const; // a newline between
  private:
    static Result<Module> described(const std::string &path, const struct berth_module *module);
    explicit Module(const struct berth_module *module) : module_(module) {}
    std::string index_methods();
    const struct berth_module *module_;
    // Open addressing, at most half full: one look finds nearly every method.
    struct Entry {
        uint32_t id = 0;
        int32_t index = -1;
    };
    std::vector<Entry> table_;
    size_t mask_ = 0;
};

} // namespace berth
