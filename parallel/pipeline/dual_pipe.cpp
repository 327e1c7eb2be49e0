// Both DualPipes follow the eight phases of DeepSeek's published schedule; they differ in what the two chunks of a
// position are: stages of two copies of the model, or the two arms of a V.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <stdexcept>

#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

/// The passes of one position over its chunks 0 and 1. `from_turn` is its distance from where the directions meet.
class Position {
 public:
  Position(int stage_0, int stage_1, int rank, int from_turn)
      : stage_{stage_0, stage_1}, rank_(rank), from_turn_(from_turn) {}

  /// `microbatches` per chunk.
  Order run(int microbatches) {
    begin();
    run_steady_state(microbatches);
    run_last_backwards();
    run_weights_between();
    return std::move(order_);
  }

 private:
  void begin() {
    for (int k = 0; k < 2 * from_turn_; ++k) forward(0);
    for (int k = 0; k <= rank_; ++k) {
      forward(0);
      forward(1);
    }
    for (int k = 0; k < from_turn_; ++k) {
      input_grad(1);
      weight_grad();
      forward(1);
    }
  }

  void run_steady_state(int microbatches) {
    const int repeats = microbatches - 2 * (rank_ + from_turn_ + 1) + rank_ + 1;
    for (int k = 0; k < repeats; ++k) {
      // At the turn the first two are not overlapped: its forward is waited for by the very next pass.
      forward(0, !(k == 0 && from_turn_ == 0));
      backward(1);
      forward(1, true);
      backward(0);
    }
    for (int k = 0; k < from_turn_; ++k) {
      backward(1);
      forward(1, true);
      backward(0);
    }
  }

  /// From the middle on, weight gradients are put off.
  void run_last_backwards() {
    const int middle = (rank_ + 1) / 2;
    bool split = false;
    for (int k = 0; k <= rank_; ++k) {
      split = split || (k == middle && rank_ % 2 == 1);
      split ? input_grad(1) : backward(1);
      split = split || (k == middle && rank_ % 2 == 0);
      split ? input_grad(0) : backward(0);
    }
  }

  void run_weights_between() {
    for (int k = 0; k < from_turn_; ++k) {
      weight_grad();
      input_grad(0);
    }
    while (!waiting_.empty()) weight_grad();
  }

  void forward(int chunk, bool with_next = false) {
    order_.push_back({Phase::forward, stage_[chunk], forward_[chunk]++, true, with_next});
  }
  void backward(int chunk) { order_.push_back({Phase::input_grad, stage_[chunk], backward_[chunk]++}); }
  void input_grad(int chunk) {
    waiting_.push_back({Phase::weight_grad, stage_[chunk], backward_[chunk]});
    order_.push_back({Phase::input_grad, stage_[chunk], backward_[chunk]++, false});
  }
  void weight_grad() {
    order_.push_back(waiting_.front());
    waiting_.pop_front();
  }

  int stage_[2];
  int rank_, from_turn_;
  int forward_[2] = {0, 0}, backward_[2] = {0, 0};
  std::deque<Action> waiting_;
  Order order_;
};

}  // namespace

std::vector<Order> dual_pipe_orders(const Pipeline& pipeline) {
  const int positions = pipeline.placement.num_positions();
  if (positions % 2 != 0) {
    throw std::invalid_argument(
        fmt::format("[schedule] dualpipe pairs positions from both ends: {} is no even number of them", positions));
  }
  const int num_first = (pipeline.microbatches + 1) / 2;  // of the first copy; the second has the others
  const int num_second = pipeline.microbatches - num_first;
  std::vector<Order> orders;
  for (int position = 0; position < positions; ++position) {
    const int opposite = positions - 1 - position;
    const int rank = std::min(position, opposite);
    const int stages[2] = {position, positions + opposite};
    const int near = position < opposite ? 0 : 1;
    Order order =
        Position(stages[near], stages[1 - near], rank, positions / 2 - rank - 1).run(std::max(num_first, positions));
    keep_if(order, [&](const Action& a) { return a.microbatch < (a.stage < positions ? num_first : num_second); });
    for (Action& action : order) {
      if (action.stage >= positions) action.microbatch += num_first;
    }
    orders.push_back(std::move(order));
  }
  return orders;
}

std::vector<Order> dual_pipe_v_orders(const Pipeline& pipeline) {
  const int positions = pipeline.placement.num_positions();
  std::vector<Order> orders;
  for (int position = 0; position < positions; ++position) {
    Order order = Position(position, 2 * positions - 1 - position, position, positions - position - 1)
                      .run(std::max(pipeline.microbatches, 2 * positions));
    keep_if(order, [&](const Action& a) { return a.microbatch < pipeline.microbatches; });
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace dml
