// The passes of a position with two chunks, as schedules put them down: microbatches count themselves.
#pragma once

#include <algorithm>
#include <deque>
#include <utility>

#include "parallel/pipeline/schedule.h"

namespace dml {

class TwoChunks {
 public:
  TwoChunks(int stage_0, int stage_1) : stage_{stage_0, stage_1} {}

  void forward(int chunk, bool with_next = false) {
    order_.push_back({Phase::forward, stage_[chunk], forward_[chunk]++, true, with_next});
  }
  void backward(int chunk) { order_.push_back({Phase::input_grad, stage_[chunk], backward_[chunk]++}); }
  /// The weight gradients of it wait.
  void input_grad(int chunk) {
    waiting_.push_back({Phase::weight_grad, stage_[chunk], backward_[chunk]});
    order_.push_back({Phase::input_grad, stage_[chunk], backward_[chunk]++, false});
  }
  /// Those that wait longest; some must wait.
  void weight_grad() {
    order_.push_back(waiting_.front());
    waiting_.pop_front();
  }
  /// The same of one chunk.
  void weight_grad(int chunk) {
    const auto first =
        std::find_if(waiting_.begin(), waiting_.end(), [&](const Action& a) { return a.stage == stage_[chunk]; });
    order_.push_back(*first);
    waiting_.erase(first);
  }

  int num_forward(int chunk) const { return forward_[chunk]; }
  int num_waiting(int chunk) const {
    return static_cast<int>(
        std::count_if(waiting_.begin(), waiting_.end(), [&](const Action& a) { return a.stage == stage_[chunk]; }));
  }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  Order take() { return std::move(order_); }

 private:
  int stage_[2];
  int forward_[2] = {0, 0}, backward_[2] = {0, 0};
  std::deque<Action> waiting_;
  Order order_;
};

}  // namespace dml
