#include <algorithm>

#include "parallel/pipeline/schedule.h"

namespace dml {

std::vector<Order> one_forward_one_backward_orders(const Placement& placement, int microbatches) {
  const int num_stages = placement.num_stages();
  std::vector<Order> orders;
  for (int stage = 0; stage < num_stages; ++stage) {
    const int warm_up = std::min(num_stages - stage - 1, microbatches);
    Order order;
    int forward = 0;
    while (forward < warm_up) order.push_back({Phase::forward, stage, forward++});
    for (int backward = 0; backward < microbatches; ++backward) {
      if (forward < microbatches) order.push_back({Phase::forward, stage, forward++});
      order.push_back({Phase::input_grad, stage, backward});
    }
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace dml
