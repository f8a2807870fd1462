#include <cstdio>

#include "answer.h"
#include "commands.h"
#include "crashes_view.h"
#include "session.h"

namespace berth::cli {
namespace {

int fail(int ret, const std::string &text) {
    fprintf(stderr, "berth: %s: %s\n", berth_ret_name(ret), text.c_str());
    return exit_code_of(ret);
}

// Whether the supervisor is one that was started for this command alone.
bool is_private(const Client &client) {
    Reply reply;
    if (berth_status(client.get(), reply.raw()) != BERTH_RET_OK)
        return false;
    Json status = show(reply.bytes()).json;
    return status.value("/daemon/private"_json_pointer, false);
}

} // namespace

int run_crashes(const CrashesOptions &options) {
    auto client = connect(options.connect);
    if (!client)
        return fail(client.error().ret, client.error().text);
    Reply reply;
    int ret = berth_crashes(client->get(), reply.raw());
    if (ret != BERTH_RET_OK)
        return fail(ret, reply.text());
    Json crashes = show(reply.bytes()).json;
    if (options.json)
        fputs((dump(crashes, 2) + "\n").c_str(), stdout);
    else if (crashes.empty() && is_private(*client))
        puts("No service runs here, so a supervisor was started for this command alone: no worker of it has crashed yet.\n"
             "The crashes under a program's own supervisor are in its log ($BERTH_LOG) and known to that program "
             "(berth_crashes).");
    else
        fputs(crashes_text(crashes).c_str(), stdout);
    return kExitOk;
}

int run_reset(const ResetOptions &options) {
    auto client = connect(options.connect);
    if (!client)
        return fail(client.error().ret, client.error().text);
    Reply reply;
    int ret = berth_reset(client->get(), options.module.c_str(), reply.raw());
    if (ret != BERTH_RET_OK)
        return fail(ret, reply.text());
    if (is_private(*client))
        puts("No service runs here, so there was nothing to reset.");
    return kExitOk;
}

} // namespace berth::cli
