#include <algorithm>

#include "models/index.h"
#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

/// `warm_up` forwards, then a forward and a backward in turn while there are forwards, then the other backwards.
Order alternating_order(int stage, int warm_up, int microbatches, bool overlapped) {
  Order order;
  order.reserve(index(2 * microbatches));
  int forward = 0;
  while (forward < std::min(warm_up, microbatches)) order.push_back({Phase::forward, stage, forward++});
  for (int backward = 0; backward < microbatches; ++backward) {
    if (forward < microbatches) order.push_back({Phase::forward, stage, forward++, true, overlapped});
    order.push_back({Phase::input_grad, stage, backward});
  }
  return order;
}

}  // namespace

std::vector<Order> one_forward_one_backward_orders(const Pipeline& pipeline) {
  const int num_stages = pipeline.placement.num_stages();
  std::vector<Order> orders;
  for (int stage = 0; stage < num_stages; ++stage)
    orders.push_back(alternating_order(stage, num_stages - stage - 1, pipeline.microbatches, false));
  return orders;
}

std::vector<Order> overlapped_one_forward_one_backward_orders(const Pipeline& pipeline) {
  const int num_stages = pipeline.placement.num_stages();
  std::vector<Order> orders;
  for (int stage = 0; stage < num_stages; ++stage)
    orders.push_back(alternating_order(stage, 2 * (num_stages - stage - 1) + 1, pipeline.microbatches, true));
  return orders;
}

}  // namespace dml
