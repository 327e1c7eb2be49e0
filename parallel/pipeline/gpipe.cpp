#include "parallel/pipeline/schedule.h"

namespace dml {

std::vector<Order> gpipe_orders(const Placement& placement, int microbatches) {
  std::vector<Order> orders;
  for (int stage = 0; stage < placement.num_stages(); ++stage) {
    Order order;
    for (int m = 0; m < microbatches; ++m) order.push_back({Phase::forward, stage, m});
    for (int m = 0; m < microbatches; ++m) order.push_back({Phase::input_grad, stage, m});
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace dml
