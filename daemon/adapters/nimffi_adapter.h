// Makes a module of a nim-ffi library.
//
// create, destroy and handle run on the library thread, as do the initialisers before them: it is the only thread of
// ours that calls the library. Its callbacks come on threads of its own, or on the library thread inside a call that it
// refuses. Requests and answers are the bytes they are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "adapters/nimffi_awaited.h"
#include "adapters/nimffi_library.h"
#include "adapters/nimffi_requests.h"
#include "base/adapter_entry.h"
#include "module.h"

namespace berth::nimffi {

class Adapter {
  public:
    // Loads the library and runs its initialisers. A process has one adapter, for good: callbacks find it by itself.
    static Result<Adapter *> make(const berth_worker *worker, const AdapterInput &input);

    const struct berth_module *module() const { return &module_; }

  private:
    Adapter(const berth_worker *worker, NimffiDocument document, Library library);
    void describe();

    int create(const uint8_t *config, size_t len, void **ctx, char *why, size_t why_size);
    void *call_create(const uint8_t *config, size_t len, void *user_data);
    std::string wait_for_created(void *ctx);
    void listen(void *ctx);
    void destroy(void *ctx);
    std::string call_destroy(void *ctx);
    void handle(void *ctx, uint32_t method, berth_request request, const uint8_t *data, size_t len);
    Result<int> call(const LibraryMethod &method, void *ctx, uint64_t tag, const uint8_t *data, size_t len);

    void answered(uint64_t tag, int ret, const char *msg, size_t len);
    void say_on_the_way(berth_request request, const char *msg, size_t len);
    void gave_up(berth_request request, Requests::Why why);
    void fail(berth_request request, const std::string &text);
    void log(const std::string &text) const { worker_->log(text.c_str()); }

    static void on_answer(int ret, const char *msg, size_t len, void *tag);
    static void on_created(int ret, const char *msg, size_t len, void *number);
    static void on_destroyed(int ret, const char *msg, size_t len, void *number);
    static void on_event(int ret, const char *msg, size_t len, void *name);

    const berth_worker *worker_;
    const NimffiSettings settings_;
    const bool reused_; // one context after the other in this process
    const Library library_;
    std::string version_;
    std::vector<berth_method> methods_;
    struct berth_module module_{};
    Awaited created_, destroyed_;
    Requests requests_;
};

} // namespace berth::nimffi
