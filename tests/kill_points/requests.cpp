#include "requests.h"

#include <algorithm>

namespace berth::test {
namespace {

constexpr int kCallBoundMs = -1; // only what ends it otherwise

std::string verdict(const std::string &what, int ret, const std::string &bytes, const std::set<int> &forgiven,
                    int expected, const std::string &right) {
    if (ret == expected ? right == "*" || bytes == right : forgiven.contains(ret))
        return {};
    return what + " ended with " + std::to_string(ret) + ": " + bytes.substr(0, 200);
}

} // namespace

Requests::Request &Requests::add(const std::string &what, const std::string &bytes, int expected) {
    auto &request = requests_.emplace_back();
    request.what = what;
    request.bytes = bytes;
    request.expected = expected;
    return request;
}

Requests::Request *Requests::submit(berth_context context, const std::string &method, const std::string &data,
                                    const std::string &bytes, int expected, bool callback) {
    Request &request = add(method, bytes, expected);
    int ret = berth_submit(context, method_id(method), data.data(), data.size(),
                           callback ? Record::callback : nullptr, &request.record, &request.id);
    if (ret == BERTH_RET_OK)
        return &request;
    if (!forgiven_.contains(ret))
        wrong_.push_back(method + " was refused with " + std::to_string(ret));
    requests_.pop_back();
    return nullptr;
}

int Requests::call(berth_context context, const std::string &method, const std::string &data,
                   const std::string &bytes) {
    berth_reply reply;
    int ret = berth_call(context, method_id(method), data.data(), data.size(), kCallBoundMs, &reply);
    std::string answer(reinterpret_cast<const char *>(reply.data), reply.len);
    berth_reply_free(&reply);
    if (auto why = verdict("a call of " + method, ret, answer, forgiven_, BERTH_RET_OK, bytes); !why.empty())
        wrong_.push_back(why);
    return ret;
}

bool Requests::all_answered() const {
    return std::all_of(requests_.begin(), requests_.end(), [](const auto &one) { return one.record.answered(); });
}

std::vector<std::string> Requests::mistakes() const {
    auto all = wrong_;
    for (const auto &one : requests_) {
        int answers = one.record.terminal;
        if (answers != 1)
            all.push_back(one.what + " was answered " + std::to_string(answers) + " times");
        if (answers == 0)
            continue;
        if (auto why = verdict(one.what, one.record.ret, one.record.bytes, forgiven_, one.expected, one.bytes);
            !why.empty())
            all.push_back(why);
    }
    return all;
}

} // namespace berth::test
