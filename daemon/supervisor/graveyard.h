// Where objects go that end inside their own callbacks: they are freed once the loop's turn is over.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "supervisor/loop.h"

namespace berth {

class Graveyard {
  public:
    explicit Graveyard(uv_loop_t *loop) : sweep_(loop, [this] { std::exchange(dead_, {}); }) {}

    template <class T> void take(std::unique_ptr<T> dead) {
        dead_.emplace_back(std::move(dead));
        sweep_.start(0);
    }

  private:
    std::vector<std::shared_ptr<void>> dead_;
    Timer sweep_;
};

} // namespace berth
