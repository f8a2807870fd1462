#include "killable_host.h"

#include <string>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"

namespace berth::test {

int run_killable_host(const char *socket, int ready) {
    berth_options options{sizeof options, BERTH_NO_PRIVATE, socket, nullptr, {}};
    berth_client client;
    berth_reply reply;
    if (berth_connect(&options, &client))
        return 1;
    std::string slow = later_request(60000, "x");
    for (int failures = 0; failures < 1000;) { // its workers may be killed, too
        berth_context context;
        if (berth_open(client, "echo", nullptr, 0, nullptr, &context, nullptr)) {
            failures++;
            continue;
        }
        berth_submit(context, method_id("later"), slow.data(), slow.size(), nullptr, nullptr, nullptr);
        while (berth_call(context, method_id("echo"), "x", 1, -1, &reply) == BERTH_RET_OK) {
            berth_reply_free(&reply);
            if (ready >= 0 && ::write(ready, "r", 1) != 1)
                return 1;
            ready = -1;
        }
        berth_reply_free(&reply);
        berth_close(context, nullptr, nullptr);
    }
    return 1;
}

int run_waiting_host(const char *socket, int ready, const char *module, const char *method) {
    berth_options options{sizeof options, BERTH_NO_PRIVATE, socket, nullptr, {}};
    berth_client client;
    berth_context context;
    berth_reply reply;
    if (berth_connect(&options, &client) || berth_open(client, module, nullptr, 0, nullptr, &context, &reply))
        return 1;
    std::string request = cbor(R"({"ms": 3600000})");
    if (berth_submit(context, method_id(method), request.data(), request.size(), nullptr, nullptr, nullptr) ||
        ::write(ready, "r", 1) != 1)
        return 1;
    for (;;)
        ::pause();
}

} // namespace berth::test
