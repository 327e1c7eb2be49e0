#include "models/index.h"
#include "parallel/pipeline/orders.h"

namespace dml {

std::vector<Order> gpipe_orders(const Pipeline& pipeline) {
  std::vector<Order> orders;
  for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
    Order order;
    order.reserve(index(2 * pipeline.microbatches));
    for (int m = 0; m < pipeline.microbatches; ++m) order.push_back({Phase::forward, stage, m});
    for (int m = 0; m < pipeline.microbatches; ++m) order.push_back({Phase::input_grad, stage, m});
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace dml
