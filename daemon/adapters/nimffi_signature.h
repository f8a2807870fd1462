// A function of the older generation, called by its signature: parameters out of a CBOR array, by libffi.
#pragma once

#include <ffi.h>
#include <memory>
#include <vector>

#include "adapters/nimffi_abi.h"
#include "base/nimffi_settings.h"
#include "base/result.h"

namespace berth::nimffi {

class Signature {
  public:
    Signature(std::vector<NimffiType> types, bool is_static);

    // int function(ctx, callback, user_data, …), without ctx when static. The request is a CBOR array with one item for
    // each parameter, in order; nothing, [] or {} where there are none. Gives what the function returned, or says
    // which parameter cannot be, and then the function was not called.
    Result<int> call(void *function, void *ctx, Callback callback, void *user_data, const uint8_t *request,
                     size_t len) const;

  private:
    struct Prepared;
    std::vector<NimffiType> types_;
    bool is_static_;
    std::shared_ptr<Prepared> prepared_; // libffi keeps pointers into it
};

} // namespace berth::nimffi
