#include "adapters/nimffi_signature.h"

#include <cbor.h>
#include <cstring>
#include <limits>

#include "modules/cbor_check.h"

namespace berth::nimffi {
namespace {

struct ItemEnd {
    void operator()(cbor_item_t *item) const { cbor_decref(&item); }
};
using Item = std::unique_ptr<cbor_item_t, ItemEnd>;

union Value {
    const char *string;
    uint8_t u8;
    int8_t i8;
    uint16_t u16;
    int16_t i16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t i64;
    float f;
    double d;
};

struct Parameter {
    Value value{};
    std::string text; // what a string points at
};

ffi_type *ffi_type_of(NimffiType type) {
    switch (type) {
    case NimffiType::String: return &ffi_type_pointer;
    case NimffiType::Bool:
    case NimffiType::Uint8: return &ffi_type_uint8;
    case NimffiType::Int8: return &ffi_type_sint8;
    case NimffiType::Int16: return &ffi_type_sint16;
    case NimffiType::Uint16: return &ffi_type_uint16;
    case NimffiType::Int32: return &ffi_type_sint32;
    case NimffiType::Uint32: return &ffi_type_uint32;
    case NimffiType::Int64: return &ffi_type_sint64;
    case NimffiType::Uint64: return &ffi_type_uint64;
    case NimffiType::Float: return &ffi_type_float;
    case NimffiType::Double: return &ffi_type_double;
    }
    return &ffi_type_void;
}

// Each reader gives NULL, or what the item should have been.
const char *read_string(const cbor_item_t *item, Parameter &out) {
    if (cbor_isa_float_ctrl(item) && cbor_float_ctrl_is_ctrl(item) && cbor_is_null(item))
        return nullptr;
    if (!cbor_isa_string(item) || !cbor_string_is_definite(item))
        return "must be a text string, in one piece";
    if (size_t len = cbor_string_length(item))
        out.text.assign(reinterpret_cast<const char *>(cbor_string_handle(item)), len);
    if (out.text.find('\0') != std::string::npos)
        return "must not hold a zero byte";
    out.value.string = out.text.c_str();
    return nullptr;
}

template <class Int> const char *read_int(const cbor_item_t *item, Int &out) {
    using Limits = std::numeric_limits<Int>;
    bool negative = cbor_isa_negint(item);
    if (!negative && !cbor_isa_uint(item))
        return "must be an integer";
    uint64_t number = cbor_get_int(item); // of a negative one: -1 - value
    if (negative && (!Limits::is_signed || number > static_cast<uint64_t>(Limits::max())))
        return "is below what its type holds";
    if (!negative && number > static_cast<uint64_t>(Limits::max()))
        return "is above what its type holds";
    out = static_cast<Int>(negative ? ~number : number);
    return nullptr;
}

const char *read_bool(const cbor_item_t *item, uint8_t &out) {
    if (!cbor_isa_float_ctrl(item) || !cbor_float_ctrl_is_ctrl(item) || !cbor_is_bool(item))
        return "must be true or false";
    out = cbor_get_bool(item);
    return nullptr;
}

template <class Real> const char *read_real(const cbor_item_t *item, Real &out) {
    int64_t number;
    if (cbor_isa_float_ctrl(item) && !cbor_float_ctrl_is_ctrl(item))
        out = static_cast<Real>(cbor_float_get_float(item));
    else if (!read_int(item, number))
        out = static_cast<Real>(number);
    else
        return "must be a number";
    return nullptr;
}

const char *read_parameter(NimffiType type, const cbor_item_t *item, Parameter &out) {
    switch (type) {
    case NimffiType::String: return read_string(item, out);
    case NimffiType::Bool: return read_bool(item, out.value.u8);
    case NimffiType::Int8: return read_int(item, out.value.i8);
    case NimffiType::Uint8: return read_int(item, out.value.u8);
    case NimffiType::Int16: return read_int(item, out.value.i16);
    case NimffiType::Uint16: return read_int(item, out.value.u16);
    case NimffiType::Int32: return read_int(item, out.value.i32);
    case NimffiType::Uint32: return read_int(item, out.value.u32);
    case NimffiType::Int64: return read_int(item, out.value.i64);
    case NimffiType::Uint64: return read_int(item, out.value.u64);
    case NimffiType::Float: return read_real(item, out.value.f);
    case NimffiType::Double: return read_real(item, out.value.d);
    }
    return "is of no known type";
}

bool is_nothing(const uint8_t *request, size_t len) {
    return len == 0 || (len == 1 && (request[0] == 0x80 || request[0] == 0xa0));
}

// The parameters, or what is wrong with the request.
Result<std::vector<Parameter>> read_parameters(const std::vector<NimffiType> &types, const uint8_t *request,
                                               size_t len) {
    std::vector<Parameter> out(types.size());
    if (types.empty() && is_nothing(request, len))
        return out;
    if (const char *why = berth_cbor_check(request, len))
        return Error{1, std::string("the request is no CBOR: ") + why};
    cbor_load_result loaded;
    Item whole(cbor_load(request, len, &loaded));
    if (!whole || !cbor_isa_array(whole.get()))
        return Error{1, "the request must be a CBOR array of parameters"};
    if (cbor_array_size(whole.get()) != types.size())
        return Error{1, "the method has " + std::to_string(types.size()) + " parameters, the request " +
                            std::to_string(cbor_array_size(whole.get()))};
    for (size_t i = 0; i < types.size(); i++)
        if (const char *why = read_parameter(types[i], cbor_array_handle(whole.get())[i], out[i]))
            return Error{1, "parameter " + std::to_string(i + 1) + " " + why};
    return out;
}

} // namespace

struct Signature::Prepared {
    std::vector<ffi_type *> types;
    ffi_cif cif;
};

Signature::Signature(std::vector<NimffiType> types, bool is_static)
    : types_(std::move(types)), is_static_(is_static), prepared_(std::make_shared<Prepared>()) {
    prepared_->types.assign(is_static_ ? 2 : 3, &ffi_type_pointer);
    for (auto type : types_)
        prepared_->types.push_back(ffi_type_of(type));
    // Fails for types and calling conventions that are none; ours are constants.
    ffi_prep_cif(&prepared_->cif, FFI_DEFAULT_ABI, static_cast<unsigned>(prepared_->types.size()), &ffi_type_sint,
                 prepared_->types.data());
}

Result<int> Signature::call(void *function, void *ctx, Callback callback, void *user_data, const uint8_t *request,
                            size_t len) const {
    auto parameters = read_parameters(types_, request, len);
    if (!parameters)
        return parameters.error();
    std::vector<void *> values;
    if (!is_static_)
        values.push_back(&ctx);
    values.push_back(&callback);
    values.push_back(&user_data);
    for (auto &parameter : *parameters)
        values.push_back(&parameter.value);
    ffi_arg returned = 0;
    ffi_call(&prepared_->cif, reinterpret_cast<void (*)()>(function), &returned, values.data());
    return static_cast<int>(returned);
}

} // namespace berth::nimffi
