#include <algorithm>

#include "parallel/pipeline/orders.h"
#include "parallel/pipeline/two_chunks.h"

namespace dml {
namespace {

// The chunk that is passed on the way to the turn of the V, and the one after it.
constexpr int kDown = 0;
constexpr int kUp = 1;

void backward_in_halves(TwoChunks& at, int chunk) {
  at.input_grad(chunk);
  at.weight_grad(chunk);
}

void warm_up(TwoChunks& at, int position, int positions) {
  for (int k = 0; k < 2 * (positions - position) - 1; ++k) at.forward(kDown);
  for (int k = 0; k < position; ++k) {
    at.forward(kUp);
    at.forward(kDown);
  }
  for (int k = 0; k < positions - position; ++k) {
    at.forward(kUp);
    backward_in_halves(at, kUp);
  }
}

void steady_state(TwoChunks& at, int microbatches) {
  while (at.num_forward(kUp) < at.num_forward(kDown) || at.num_forward(kDown) < microbatches) {
    if (at.num_forward(kDown) < microbatches) at.forward(kDown);
    backward_in_halves(at, kDown);
    at.forward(kUp);
    backward_in_halves(at, kUp);
  }
}

void cool_down(TwoChunks& at, int position, int positions) {
  for (int k = 0; k < position; ++k) {
    at.input_grad(kDown);
    at.input_grad(kUp);
  }
  for (int k = 0; k < positions - position; ++k) {
    at.input_grad(kDown);
    at.weight_grad(kDown);
  }
  for (const int chunk : {kUp, kDown}) {
    while (at.num_waiting(chunk) > 0) at.weight_grad(chunk);
  }
}

}  // namespace

std::vector<Order> zb_v_orders(const Pipeline& pipeline) {
  const int positions = pipeline.placement.num_positions();
  const int microbatches = std::max(pipeline.microbatches, 2 * positions - 1);
  std::vector<Order> orders;
  for (int position = 0; position < positions; ++position) {
    TwoChunks at(position, 2 * positions - 1 - position);
    warm_up(at, position, positions);
    steady_state(at, microbatches);
    cool_down(at, position, positions);
    orders.push_back(at.take());
    keep_if(orders.back(), [&](const Action& a) { return a.microbatch < pipeline.microbatches; });
  }
  return orders;
}

}  // namespace dml
