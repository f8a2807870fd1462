#include "direct_module.h"

#include "status.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <future>
#include <utility>

namespace berth::test {
namespace {

constexpr size_t kMostBytes = 16u << 20;
constexpr size_t kMostNameBytes = 255;
constexpr size_t kWhySize = 1024;
enum { kRetErr = 1, kRetTimeout = 4, kRetTooLarge = 9, kRetRecycled = 11, kRetCancelled = 17 };

std::mutex one_at_a_time;
std::mutex current_mutex; // a module's thread may be late: it must find no module, rather than a dead one
DirectModule *current;

std::string bytes_of(const void *data, size_t len) {
    return len ? std::string(static_cast<const char *>(data), len) : "";
}

// Exactly as long as its content, so that ASan sees a read past it.
std::unique_ptr<uint8_t[]> exact_copy(std::string_view data) {
    std::unique_ptr<uint8_t[]> copy(new uint8_t[data.size()]);
    std::copy(data.begin(), data.end(), copy.get());
    return copy;
}

int refuse_call(const char *, const void *, size_t, berth_answer done, void *user_data) {
    static const char why[] = "a module that is called directly has no calls of its own";
    if (done)
        done(user_data, kRetErr, why, sizeof why - 1);
    return 1;
}

bool fail(std::string *why, std::string text) {
    if (why)
        *why = std::move(text);
    return false;
}

} // namespace

int DirectModule::on_reply(berth_request request, int ret, const void *data, size_t len) {
    std::lock_guard lock(current_mutex);
    if (len > kMostBytes)
        return current ? current->reply(request, {kRetTooLarge, ""}) : -1;
    return current ? current->reply(request, {ret == 0 ? 0 : kRetErr, bytes_of(data, len)}) : -1;
}

int DirectModule::on_emit(const char *name, const void *data, size_t len) {
    std::lock_guard lock(current_mutex);
    if (std::strlen(name) > kMostNameBytes || std::strlen(name) + len > kMostBytes)
        return -1;
    return current ? current->emit({name, bytes_of(data, len)}) : 1;
}

int DirectModule::on_data(berth_request request, const void *bytes, size_t len) {
    std::lock_guard lock(current_mutex);
    return current && len <= kMostBytes ? current->data(request, bytes_of(bytes, len)) : -1;
}

void DirectModule::on_log(const char *text) {
    std::lock_guard lock(current_mutex);
    if (!current)
        return;
    std::lock_guard own(current->mutex_);
    current->log_.append(text).append("\n");
}

const struct berth_worker *DirectModule::table() {
    // Progress is left out, as for a host that is too old for it; calls of a module's own are refused.
    static const struct berth_worker worker = {BERTH_MODULE_ABI,
                                               sizeof worker,
                                               on_reply,
                                               on_emit,
                                               on_log,
                                               [](berth_request, const void *, size_t) { return 1; },
                                               refuse_call,
                                               on_data};
    return &worker;
}

std::unique_ptr<DirectModule> DirectModule::load(const std::string &path, std::string *why) {
    std::unique_ptr<DirectModule> direct(new DirectModule);
    direct->turn_ = std::unique_lock(one_at_a_time);
    {
        std::lock_guard lock(current_mutex);
        current = direct.get();
    }
    direct->library_thread_ = std::thread([self = direct.get()] { self->run_library_thread(); });
    bool opened = false;
    direct->on_library_thread([&] { opened = direct->open(path, why); });
    return opened ? std::move(direct) : nullptr;
}

bool DirectModule::open(const std::string &path, std::string *why) {
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library_)
        return fail(why, dlerror());
    auto entry = reinterpret_cast<berth_module_entry>(dlsym(library_, "berth_module"));
    if (!entry)
        return fail(why, dlerror());
    module_ = entry(table());
    if (!module_)
        return fail(why, logged());
    if (module_->abi != BERTH_MODULE_ABI || module_->size < sizeof(struct berth_module))
        return fail(why, "another module ABI: " + std::to_string(module_->abi));
    return true;
}

DirectModule::~DirectModule() {
    destroy();
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
        changed_.notify_all();
    }
    library_thread_.join();
    {
        std::lock_guard lock(current_mutex);
        current = nullptr;
    }
    if (library_)
        dlclose(library_);
}

std::optional<uint32_t> DirectModule::method(std::string_view name) const {
    for (uint32_t i = 0; i < module_->method_count; i++)
        if (name == module_->methods[i].name)
            return i;
    return std::nullopt;
}

void DirectModule::run_library_thread() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty())
            return;
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
}

void DirectModule::on_library_thread(std::function<void()> job) {
    std::promise<void> done;
    {
        std::lock_guard lock(mutex_);
        jobs_.push_back([&] {
            job();
            done.set_value();
        });
        changed_.notify_all();
    }
    done.get_future().wait();
}

bool DirectModule::create(std::string_view config, std::string *why) {
    on_library_thread([&] {
        std::lock_guard alone(teardown_);
        auto copy = exact_copy(config);
        char reason[kWhySize] = "";
        if (created_)
            std::strcpy(reason, "there is a context already");
        else
            created_ =
                !module_->create || module_->create(copy.get(), config.size(), &instance_, reason, sizeof reason) == 0;
        if (why && reason[0])
            *why = reason;
    });
    return created_;
}

void DirectModule::destroy() {
    on_library_thread([&] {
        std::lock_guard alone(teardown_);
        if (created_ && module_->destroy)
            module_->destroy(instance_);
        created_ = false;
        instance_ = nullptr;
    });
    std::lock_guard lock(mutex_);
    for (auto &[request, waiting] : waiting_)
        if (!waiting.answer)
            waiting.answer = DirectAnswer{kRetRecycled, BERTH_TEXT_CUT_OFF};
    changed_.notify_all();
}

berth_request DirectModule::submit(std::string_view method, std::string_view data) {
    std::lock_guard lock(mutex_);
    berth_request request = ++last_request_;
    waiting_[request];
    jobs_.push_back(
        [this, request, method = std::string(method), data = std::string(data)] { handle(request, method, data); });
    changed_.notify_all();
    return request;
}

bool DirectModule::begin(berth_request request) {
    std::lock_guard lock(mutex_);
    auto found = waiting_.find(request);
    if (found == waiting_.end() || found->second.answer)
        return false; // cancelled while it was queued
    return found->second.begun = true;
}

void DirectModule::handle(berth_request request, std::string_view name, std::string data) {
    if (!begin(request))
        return;
    std::optional<uint32_t> index = method(name);
    bool needs_context = index && !(module_->methods[*index].flags & BERTH_METHOD_STATIC);
    if (!index || (needs_context && !created_)) {
        reply(request, {kRetErr, BERTH_TEXT_NOT_IMPLEMENTED + std::string(name)});
        return;
    }
    auto copy = exact_copy(data);
    module_->handle(needs_context ? instance_ : nullptr, *index, request, copy.get(), data.size());
}

int DirectModule::reply(berth_request request, DirectAnswer answer) {
    std::lock_guard lock(mutex_);
    auto found = waiting_.find(request);
    if (found == waiting_.end() || found->second.answer) {
        strays_++;
        return -1;
    }
    found->second.answer = std::move(answer);
    answered_.push_back(request);
    changed_.notify_all();
    return 0;
}

int DirectModule::data(berth_request request, std::string bytes) {
    std::lock_guard lock(mutex_);
    auto found = waiting_.find(request);
    if (found == waiting_.end() || found->second.answer)
        return -1;
    data_[request].push_back(std::move(bytes));
    return 0;
}

std::vector<std::string> DirectModule::take_data(berth_request request) {
    std::lock_guard lock(mutex_);
    auto taken = data_.extract(request);
    return taken ? std::move(taken.mapped()) : std::vector<std::string>();
}

int DirectModule::emit(DirectEvent event) {
    std::lock_guard lock(mutex_);
    if (!listening_ || events_.size() >= event_capacity_)
        return 1;
    events_.push_back(std::move(event));
    changed_.notify_all();
    return 0;
}

std::optional<DirectAnswer> DirectModule::wait(berth_request request, Time timeout) {
    std::unique_lock lock(mutex_);
    auto found = waiting_.find(request);
    if (found == waiting_.end() || !changed_.wait_for(lock, timeout, [&] { return found->second.answer.has_value(); }))
        return std::nullopt;
    DirectAnswer answer = std::move(*found->second.answer);
    waiting_.erase(found);
    return answer;
}

DirectAnswer DirectModule::call(std::string_view method, std::string_view data, Time timeout) {
    return wait(submit(method, data), timeout).value_or(DirectAnswer{kRetTimeout, BERTH_TEXT_TIMEOUT});
}

void DirectModule::cancel(berth_request request) {
    std::lock_guard alone(teardown_);
    {
        std::lock_guard lock(mutex_);
        auto found = waiting_.find(request);
        if (found == waiting_.end() || found->second.answer)
            return;
        if (!found->second.begun) {
            found->second.answer = DirectAnswer{kRetCancelled, BERTH_TEXT_CANCELLED};
            answered_.push_back(request);
            changed_.notify_all();
            return;
        }
    }
    if (module_->cancel && created_)
        module_->cancel(instance_, request);
}

void DirectModule::listen(bool wanted, size_t capacity) {
    std::lock_guard lock(mutex_);
    listening_ = wanted;
    event_capacity_ = capacity;
}

std::vector<DirectEvent> DirectModule::take_events() { return wait_events(0); }

std::vector<DirectEvent> DirectModule::wait_events(size_t count, Time timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return events_.size() >= count; });
    return std::exchange(events_, {});
}

std::vector<berth_request> DirectModule::answered() const {
    std::lock_guard lock(mutex_);
    return answered_;
}

size_t DirectModule::stray_answers() const {
    std::lock_guard lock(mutex_);
    return strays_;
}

std::string DirectModule::logged() const {
    std::lock_guard lock(mutex_);
    return log_;
}

} // namespace berth::test
