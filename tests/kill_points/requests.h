// What a host has asked, and what it was told: each request that was accepted ends once, and in a way that it may.
#pragma once

#include <deque>
#include <set>
#include <string>
#include <vector>

#include "host.h"

namespace berth::test {

class Requests {
  public:
    // `forgiven`: how requests may end, other than as they would in peace.
    explicit Requests(std::set<int> forgiven) : forgiven_(std::move(forgiven)) {}

    struct Request {
        std::string what;
        int expected = BERTH_RET_OK;
        std::string bytes; // of the answer, when it is as expected; "*": any
        uint64_t id = 0;
        Record record;
    };

    // With a callback, or for berth_reap. The request, or nullptr when it was refused.
    Request *submit(berth_context context, const std::string &method, const std::string &data,
                    const std::string &bytes, int expected = BERTH_RET_OK, bool callback = true);
    // To be some function's user_data for Record::callback.
    Request &add(const std::string &what, const std::string &bytes, int expected = BERTH_RET_OK);
    // Blocks. What it returned.
    int call(berth_context context, const std::string &method, const std::string &data, const std::string &bytes);

    bool all_answered() const;
    bool as_in_peace() const { return forgiven_.empty(); }
    // Once nothing can come any more: a line for each that had no answer, more than one, or a wrong one.
    std::vector<std::string> mistakes() const;

  private:

    std::set<int> forgiven_;
    std::deque<Request> requests_;
    std::vector<std::string> wrong_;
};

} // namespace berth::test
