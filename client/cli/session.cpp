#include "session.h"

namespace berth::cli {
namespace {

const char *or_null(const std::string &text) { return text.empty() ? nullptr : text.c_str(); }

} // namespace

Result<Client> connect(const ConnectOptions &options) {
    berth_options raw{};
    raw.size = sizeof raw;
    // A named socket is meant: no supervisor of our own when nobody answers there.
    raw.flags = options.force_private ? BERTH_PRIVATE : options.socket.empty() ? 0 : BERTH_NO_PRIVATE;
    raw.socket_path = or_null(options.socket);
    raw.socket_owner = options.socket_owner;
    raw.module_dir = or_null(options.module_dir);
    berth_client client{};
    Reply why;
    raw.why = why.raw();
    int ret = berth_connect(&raw, &client);
    if (ret == BERTH_RET_OK)
        return Client(client);
    return Error{ret, why.text()};
}

Result<Context> open(const Client &client, const std::string &module, ByteView config) {
    berth_context context{};
    Reply why;
    int ret = berth_open(client.get(), module.c_str(), config.data(), config.size(), nullptr, &context, why.raw());
    if (ret == BERTH_RET_OK)
        return Context(context);
    return Error{ret, why.text()};
}

Result<uint32_t> method(const Context &context, const std::string &name) {
    uint32_t id = 0;
    int ret = berth_method(context.get(), name.c_str(), &id);
    if (ret == BERTH_RET_OK)
        return id;
    return Error{ret, "no method '" + name + "'"};
}

} // namespace berth::cli
