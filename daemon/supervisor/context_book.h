// The contexts that one host may name: those it has, and those that ended before it knew. Pure.
#pragma once

#include <cstddef>
#include <map>

#include "supervisor/ids.h"

namespace berth {

class ContextBook {
  public:
    enum class Closing {
        Mine,    // its context, and this is the first word of its end
        Late,    // it has ended already, or the host said so before
        NotYours // never its context
    };

    void opened(ContextId id) { contexts_.emplace(id, State::Live); }

    // The context is gone; the host may not know yet, and still close it.
    void ended(ContextId id) {
        auto found = contexts_.find(id);
        if (found == contexts_.end())
            return;
        if (found->second == State::Closing) {
            contexts_.erase(found);
            return;
        }
        found->second = State::Ended;
        if (++ended_ > kMaxEnded)
            forget_oldest();
    }

    Closing closing(ContextId id) {
        auto found = contexts_.find(id);
        if (found == contexts_.end())
            return id != ContextId::None && id <= forgotten_ ? Closing::Late : Closing::NotYours;
        if (found->second == State::Live) {
            found->second = State::Closing;
            return Closing::Mine;
        }
        if (found->second == State::Ended) {
            contexts_.erase(found);
            ended_--;
        }
        return Closing::Late;
    }

  private:
    enum class State { Live, Closing, Ended };
    static constexpr size_t kMaxEnded = 1024;

    // A host that never closes what has died must not make the book grow.
    void forget_oldest() {
        auto oldest = contexts_.begin();
        while (oldest->second != State::Ended)
            ++oldest;
        if (oldest->first > forgotten_)
            forgotten_ = oldest->first;
        contexts_.erase(oldest);
        ended_--;
    }

    std::map<ContextId, State> contexts_;
    size_t ended_ = 0;
    ContextId forgotten_ = ContextId::None; // ids up to here are believed
};

} // namespace berth
