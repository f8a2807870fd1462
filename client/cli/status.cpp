#include <cstdio>

#include "answer.h"
#include "commands.h"
#include "session.h"
#include "status_view.h"

namespace berth::cli {
namespace {

int fail(const Error &error) {
    fprintf(stderr, "berth: %s: %s\n", berth_ret_name(error.ret), error.text.c_str());
    return exit_code_of(error.ret);
}

std::string rendered(const Json &status, const StatusOptions &options) {
    if (options.json)
        return dump(options.modules_only ? modules_of(status) : status, 2) + "\n";
    return options.modules_only ? modules_text(status) : status_text(status);
}

} // namespace

int run_status(const StatusOptions &options) {
    auto client = connect(options.connect);
    if (!client)
        return fail(client.error());
    Reply reply;
    int ret = berth_status(client->get(), reply.raw());
    if (ret != BERTH_RET_OK)
        return fail({ret, reply.text()});
    fputs(rendered(show(reply.bytes()).json, options).c_str(), stdout);
    return kExitOk;
}

} // namespace berth::cli
