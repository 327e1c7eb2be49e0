#include <algorithm>

#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

/// One position's passes of its two chunks: `down` is passed on the way to the turn of the V, `up` after it.
class Position {
 public:
  Position(int position, int positions) : stage_{position, 2 * positions - 1 - position} {}

  void forward(int chunk) { push(Phase::forward, chunk, forward_[chunk]++); }
  void input_grad(int chunk) { push(Phase::input_grad, chunk, backward_[chunk]++); }
  void weight_grad(int chunk) { push(Phase::weight_grad, chunk, weight_[chunk]++); }
  void backward(int chunk) {
    input_grad(chunk);
    weight_grad(chunk);
  }
  void remaining_weights(int chunk) {
    while (weight_[chunk] < backward_[chunk]) weight_grad(chunk);
  }
  int num_forward(int chunk) const { return forward_[chunk]; }
  Order take() { return std::move(order_); }

 private:
  void push(Phase phase, int chunk, int microbatch) {
    order_.push_back({phase, stage_[chunk], microbatch, phase != Phase::input_grad});
  }

  int stage_[2];
  int forward_[2] = {0, 0}, backward_[2] = {0, 0}, weight_[2] = {0, 0};
  Order order_;
};

constexpr int kDown = 0;
constexpr int kUp = 1;

void warm_up(Position& at, int position, int positions) {
  for (int k = 0; k < 2 * (positions - position) - 1; ++k) at.forward(kDown);
  for (int k = 0; k < position; ++k) {
    at.forward(kUp);
    at.forward(kDown);
  }
  for (int k = 0; k < positions - position; ++k) {
    at.forward(kUp);
    at.backward(kUp);
  }
}

void steady_state(Position& at, int microbatches) {
  while (at.num_forward(kUp) < at.num_forward(kDown) || at.num_forward(kDown) < microbatches) {
    if (at.num_forward(kDown) < microbatches) at.forward(kDown);
    at.backward(kDown);
    at.forward(kUp);
    at.backward(kUp);
  }
}

void cool_down(Position& at, int position, int positions) {
  for (int k = 0; k < position; ++k) {
    at.input_grad(kDown);
    at.input_grad(kUp);
  }
  for (int k = 0; k < positions - position; ++k) {
    at.input_grad(kDown);
    at.weight_grad(kDown);
  }
  at.remaining_weights(kUp);
  at.remaining_weights(kDown);
}

}  // namespace

std::vector<Order> zb_v_orders(const Pipeline& pipeline) {
  const int positions = pipeline.placement.num_positions();
  const int microbatches = std::max(pipeline.microbatches, 2 * positions - 1);
  std::vector<Order> orders;
  for (int position = 0; position < positions; ++position) {
    Position at(position, positions);
    warm_up(at, position, positions);
    steady_state(at, microbatches);
    cool_down(at, position, positions);
    orders.push_back(at.take());
    keep_if(orders.back(), [&](const Action& a) { return a.microbatch < pipeline.microbatches; });
  }
  return orders;
}

}  // namespace dml
