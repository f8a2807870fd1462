#include "adapters/nimffi_adapter.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "status.h"

namespace berth::nimffi {
namespace {

// An asynchronous destroy drains for 1.5 s, cancels, and drains as long again. What says nothing by then says nothing:
// most likely it is a blocking one that the manifest takes for asynchronous, and done.
constexpr uint32_t kDestroyMs = 4000;
constexpr int kExitDestroyFailed = 70;
constexpr size_t kMostElapsedDigits = 10; // a hundred days
constexpr const char *kEventOfJson = "event";

Adapter *the_adapter; // callbacks carry one word, which is needed for what they are about

// The request that the library thread is handing over, and whether its callback came already.
thread_local uint64_t handing_over;
thread_local bool answered_at_once;

void say_why(char *why, size_t size, const std::string &text) {
    if (size == 0)
        return;
    size_t len = std::min(text.size(), size - 1);
    std::memcpy(why, text.data(), len);
    why[len] = 0;
}

// What a callback with kStaleWarn says by custom: for how many milliseconds the request has been worked on. Anything else
// is a part of the result.
bool is_elapsed_time(const char *msg, size_t len) {
    return len > 0 && len <= kMostElapsedDigits && std::all_of(msg, msg + len, [](char c) { return c >= '0' && c <= '9'; });
}

std::string text_of(const char *msg, size_t len) {
    return msg && len ? std::string(msg, len) : std::string(BERTH_TEXT_UNKNOWN_ERROR);
}

} // namespace

Result<Adapter *> Adapter::make(const berth_worker *worker, const AdapterInput &input) {
    auto document = read_nimffi_document({input.settings, input.settings_len});
    if (!document)
        return document.error();
    auto library = Library::load(input.library, document->settings);
    if (!library)
        return library.error();
    the_adapter = new Adapter(worker, std::move(*document), std::move(*library));
    for (Initialiser initialise : the_adapter->library_.initialisers)
        initialise();
    return the_adapter;
}

Adapter::Adapter(const berth_worker *worker, NimffiDocument document, Library library)
    : worker_(worker), settings_(std::move(document.settings)), reused_(document.reused), library_(std::move(library)),
      version_(library_.version.empty() ? "unknown" : library_.version),
      requests_(settings_.deadline_ms, [this](berth_request request, Requests::Why why) { gave_up(request, why); }) {
    describe();
}

void Adapter::describe() {
    for (const auto &method : library_.methods)
        methods_.push_back({method.name.c_str(), method.is_static ? BERTH_METHOD_STATIC : 0});
    module_.abi = BERTH_MODULE_ABI;
    module_.size = sizeof module_;
    module_.name = library_.prefix.c_str();
    module_.version = version_.c_str();
    module_.method_count = static_cast<uint32_t>(methods_.size());
    module_.methods = methods_.data();
    module_.create = [](const uint8_t *config, size_t len, void **ctx, char *why, size_t why_size) {
        return the_adapter->create(config, len, ctx, why, why_size);
    };
    module_.destroy = [](void *ctx) { the_adapter->destroy(ctx); };
    module_.handle = [](void *ctx, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
        the_adapter->handle(ctx, method, request, data, len);
    };
    module_.cancel = [](void *, berth_request request) { the_adapter->requests_.cancel(request); };
}

void *Adapter::call_create(const uint8_t *config, size_t len, void *user_data) {
    if (!library_.json)
        return reinterpret_cast<Create>(library_.create)(config, len, on_created, user_data);
    std::string text(reinterpret_cast<const char *>(config), len);
    return reinterpret_cast<New>(library_.create)(text.c_str(), on_created, user_data);
}

int Adapter::create(const uint8_t *config, size_t len, void **ctx, char *why, size_t why_size) {
    if (library_.json && len && std::memchr(config, 0, len)) {
        say_why(why, why_size, "the configuration is a C string and must not hold a zero byte");
        return -1;
    }
    requests_.next_context();
    *ctx = call_create(config, len, created_.arm());
    if (*ctx)
        listen(*ctx); // first: events can come before the constructor is done
    std::string failure = wait_for_created(*ctx);
    if (failure.empty())
        return 0;
    say_why(why, why_size, failure);
    // A constructor that failed keeps its place in the library's pool; where the process goes on, that is given back.
    if (*ctx && reused_)
        call_destroy(*ctx);
    return -1;
}

// Why there is no context, or nothing.
std::string Adapter::wait_for_created(void *ctx) {
    std::string function = library_.prefix + (library_.json ? "_new" : "_create");
    if (!ctx && !created_.came())
        return function + " returned NULL, and no reason by its callback";
    if (!created_.wait(settings_.deadline_ms))
        return function + " did not call back within " + std::to_string(settings_.deadline_ms) + " ms";
    if (created_.ret() != kOk)
        return text_of(created_.text().data(), created_.text().size());
    return ctx ? "" : function + " returned NULL";
}

void Adapter::listen(void *ctx) {
    if (library_.set_event_callback)
        library_.set_event_callback(ctx, on_event, const_cast<char *>(kEventOfJson));
    for (const auto &event : settings_.events) {
        if (library_.add_listener &&
            library_.add_listener(ctx, event.c_str(), on_event, const_cast<char *>(event.c_str())) == 0)
            log(library_.prefix + "_add_event_listener failed for " + event);
    }
}

void Adapter::destroy(void *ctx) {
    requests_.give_up_all();
    std::string failure = call_destroy(ctx);
    if (failure.empty())
        return;
    log(failure);
    // The context lives on in here, and the next one is not to meet it.
    if (reused_)
        std::_Exit(kExitDestroyFailed);
}

// Why the context may still be there, or nothing.
std::string Adapter::call_destroy(void *ctx) {
    std::string function = library_.prefix + "_destroy";
    void *number = destroyed_.arm();
    int rc = library_.destroy_arguments == 1
                 ? reinterpret_cast<DestroyBlocking>(library_.destroy)(ctx)
                 : reinterpret_cast<DestroyAsync>(library_.destroy)(ctx, on_destroyed, number);
    if (rc != 0)
        return function + " returned " + std::to_string(rc) +
               (destroyed_.came() ? ": " + text_of(destroyed_.text().data(), destroyed_.text().size()) : "");
    if (library_.destroy_arguments == 1)
        return "";
    if (!destroyed_.wait(kDestroyMs)) {
        log(function + " did not call back; is it one with destroy_arguments = 1?");
        return "";
    }
    return destroyed_.ret() == kOk
               ? ""
               : function + ": " + text_of(destroyed_.text().data(), destroyed_.text().size());
}

Result<int> Adapter::call(const LibraryMethod &method, void *ctx, uint64_t tag, const uint8_t *data, size_t len) {
    auto *user_data = reinterpret_cast<void *>(static_cast<uintptr_t>(tag));
    if (method.signature)
        return method.signature->call(method.function, ctx, on_answer, user_data, data, len);
    if (method.is_static)
        return reinterpret_cast<Static>(method.function)(on_answer, user_data, data, len);
    return reinterpret_cast<Method>(method.function)(ctx, on_answer, user_data, data, len);
}

void Adapter::handle(void *ctx, uint32_t index, berth_request request, const uint8_t *data, size_t len) {
    const LibraryMethod &method = library_.methods[index];
    uint64_t tag = handing_over = requests_.begin(request);
    answered_at_once = false;
    auto rc = call(method, ctx, tag, data, len);
    handing_over = 0;
    // One that is refused was told by its callback, in there. A library that forgets that is spoken for.
    if (rc && (*rc == kOk || answered_at_once))
        return;
    if (requests_.take(tag) == Requests::Taken::Now)
        fail(request, rc ? method.symbol + " returned " + std::to_string(*rc) : method.symbol + ": " + rc.error().text);
}

void Adapter::answered(uint64_t tag, int ret, const char *msg, size_t len) {
    if (tag == handing_over)
        answered_at_once = true;
    if (ret == kStaleWarn) {
        if (requests_.is_in_flight(tag))
            say_on_the_way(Requests::id_of(tag), msg, len);
        return;
    }
    switch (requests_.take(tag)) {
    case Requests::Taken::Now:
        worker_->reply(Requests::id_of(tag), ret == kOk ? kOk : kErr, msg, len);
        return;
    case Requests::Taken::Before:
        return log("the library called back a second time for one request; dropped");
    case Requests::Taken::GivenUp: // a library that cannot be told to stop comes late; that is no news
        return;
    case Requests::Taken::NotThere:
        return log("the library called back for a request that is long over; dropped");
    }
}

// A part of a result waits for a host that is slow to read, and with it the library's thread: the request's deadline and
// a cancel end that, as they end the request. A host that is too old for parts has them as progress, where they fit.
void Adapter::say_on_the_way(berth_request request, const char *msg, size_t len) {
    bool has_data = worker_->size >= offsetof(struct berth_worker, data) + sizeof worker_->data;
    if (has_data && !is_elapsed_time(msg, len) && worker_->data(request, msg, len) != 1)
        return;
    if (worker_->progress)
        worker_->progress(request, msg, len);
}

void Adapter::gave_up(berth_request request, Requests::Why why) {
    if (why == Requests::Why::Cancelled)
        return fail(request, BERTH_TEXT_CANCELLED);
    log("the library did not call back within " + std::to_string(settings_.deadline_ms) + " ms");
    fail(request, BERTH_TEXT_TIMEOUT);
}

void Adapter::fail(berth_request request, const std::string &text) {
    worker_->reply(request, kErr, text.data(), text.size());
}

void Adapter::on_answer(int ret, const char *msg, size_t len, void *tag) {
    the_adapter->answered(reinterpret_cast<uintptr_t>(tag), ret, msg, len);
}

void Adapter::on_created(int ret, const char *msg, size_t len, void *number) {
    if (ret != kStaleWarn && !the_adapter->created_.note(number, ret, msg, len))
        the_adapter->log("the library called back a second time, or too late, for its constructor; dropped");
}

void Adapter::on_destroyed(int ret, const char *msg, size_t len, void *number) {
    if (ret != kStaleWarn && !the_adapter->destroyed_.note(number, ret, msg, len))
        the_adapter->log("the library called back a second time, or too late, for its destroy; dropped");
}

void Adapter::on_event(int ret, const char *msg, size_t len, void *name) {
    if (ret == kOk)
        the_adapter->worker_->emit(static_cast<const char *>(name), msg, len);
    else
        the_adapter->log(std::string("an event of ") + static_cast<const char *>(name) + " came with code " +
                         std::to_string(ret) + ": " + text_of(msg, len));
}

} // namespace berth::nimffi
