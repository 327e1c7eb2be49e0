// Both DualPipes follow the eight phases of DeepSeek's published schedule; they differ in what the two chunks of a
// position are: stages of two copies of the model, or the two arms of a V.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "parallel/pipeline/orders.h"
#include "parallel/pipeline/two_chunks.h"

namespace dml {
namespace {

/// The passes of one position, which stands `rank` places from its end of the pipeline and `from_turn` places from
/// where the directions meet; its chunk 0 is the one that its own end begins.
class Phases {
 public:
  Phases(TwoChunks at, int rank, int from_turn) : at_(std::move(at)), rank_(rank), from_turn_(from_turn) {}

  /// `microbatches` per chunk.
  Order run(int microbatches) {
    begin();
    run_steady_state(microbatches);
    run_last_backwards();
    run_weights_between();
    return at_.take();
  }

 private:
  void begin() {
    for (int k = 0; k < 2 * from_turn_; ++k) at_.forward(0);
    for (int k = 0; k <= rank_; ++k) {
      at_.forward(0);
      at_.forward(1);
    }
    for (int k = 0; k < from_turn_; ++k) {
      at_.input_grad(1);
      at_.weight_grad();
      at_.forward(1);
    }
  }

  void run_steady_state(int microbatches) {
    const int repeats = microbatches - 2 * (rank_ + from_turn_ + 1) + rank_ + 1;
    for (int k = 0; k < repeats; ++k) {
      // At the turn the first two are not overlapped: the very next pass waits for that forward.
      at_.forward(0, k > 0 || from_turn_ > 0);
      at_.backward(1);
      at_.forward(1, true);
      at_.backward(0);
    }
    for (int k = 0; k < from_turn_; ++k) {
      at_.backward(1);
      at_.forward(1, true);
      at_.backward(0);
    }
  }

  /// From the middle on, weight gradients are put off.
  void run_last_backwards() {
    const int middle = (rank_ + 1) / 2;
    bool split = false;
    const auto backward = [&](int chunk) { split ? at_.input_grad(chunk) : at_.backward(chunk); };
    for (int k = 0; k <= rank_; ++k) {
      split = split || (k == middle && rank_ % 2 == 1);
      backward(1);
      split = split || (k == middle && rank_ % 2 == 0);
      backward(0);
    }
  }

  void run_weights_between() {
    for (int k = 0; k < from_turn_; ++k) {
      at_.weight_grad();
      at_.input_grad(0);
    }
    while (at_.num_waiting() > 0) at_.weight_grad();
  }

  TwoChunks at_;
  int rank_, from_turn_;
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
        Phases({stages[near], stages[1 - near]}, rank, positions / 2 - rank - 1).run(std::max(num_first, positions));
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
    Order order = Phases({position, 2 * positions - 1 - position}, position, positions - position - 1)
                      .run(std::max(pipeline.microbatches, 2 * positions));
    keep_if(order, [&](const Action& a) { return a.microbatch < pipeline.microbatches; });
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace dml
