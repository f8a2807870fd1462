#include "bench/death.h"

#include <csignal>
#include <unistd.h>

#include "bench/calls.h"
#include "bench/timing.h"

namespace berth::cli {
namespace {

// Of the context that this process opened last.
pid_t newest_worker(const Client &client) {
    Reply reply;
    if (int ret = berth_status(client.get(), reply.raw()); ret != BERTH_RET_OK)
        throw BenchFailure(ret, "berth_status");
    Json status = Json::from_cbor(reply.bytes().begin(), reply.bytes().end());
    uint64_t newest = 0;
    pid_t worker = 0;
    for (const auto &context : status.at("contexts"))
        if (context.at("host_pid") == ::getpid() && context.at("id") > newest) {
            newest = context.at("id");
            worker = context.at("worker_pid");
        }
    return worker;
}

} // namespace

uint64_t death_ns(const Client &client) {
    Reply forgiven; // so many deaths in a row are a crash loop otherwise
    if (int ret = berth_reset(client.get(), "echo", forgiven.raw()); ret != BERTH_RET_OK)
        throw BenchFailure(ret, "berth_reset");
    auto context = open(client, "echo", Bytes{0xa0});
    auto later = context ? method(*context, "later") : Result<uint32_t>(context.error());
    auto request = to_cbor({{"ms", 600000}, {"data", ""}});
    if (!later || !request)
        throw BenchFailure(BERTH_RET_ERR, "echo's method later cannot be had");
    for (int i = 0; i < kInFlightAtDeath; i++)
        if (int ret = berth_submit(context->get(), *later, request->data(), request->size(), nullptr, nullptr, nullptr))
            throw BenchFailure(ret, "berth_submit");
    pid_t worker = newest_worker(client);
    if (worker <= 0 || ::kill(worker, SIGKILL) != 0)
        throw BenchFailure(BERTH_RET_ERR, "the worker cannot be killed");
    uint64_t started = now_ns();
    berth_completion batch[256];
    for (int left = kInFlightAtDeath; left > 0;) {
        int count = berth_reap(context->get(), batch, 256, 10000);
        if (count <= 0)
            throw BenchFailure(count < 0 ? -count : BERTH_RET_TIMEOUT, "requests of a dead worker are not answered");
        for (int i = 0; i < count; i++)
            left -= batch[i].kind == BERTH_REPLY;
    }
    uint64_t took = now_ns() - started;
    berth_reset(client.get(), "echo", nullptr); // what is killed for a figure is no library that keeps crashing
    return took;
}

} // namespace berth::cli
