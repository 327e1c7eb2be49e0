#include <algorithm>

#include "models/index.h"
#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

/// Backward passes of one stage with weight gradients apart: a W follows a B as soon as more than `waiting` are open.
class SplitBackward {
 public:
  SplitBackward(Order& order, int stage, int waiting) : order_(order), stage_(stage), waiting_(waiting) {}

  void run_backward() {
    order_.push_back({Phase::input_grad, stage_, backward_++, false});
    if (backward_ - weight_ > waiting_) run_weight();
  }
  void run_remaining() {
    while (weight_ < backward_) run_weight();
  }

 private:
  void run_weight() { order_.push_back({Phase::weight_grad, stage_, weight_++}); }

  Order& order_;
  int stage_, waiting_;
  int backward_ = 0, weight_ = 0;
};

/// `warm_up` forwards, then B and F in turn, which is 1F1B with the first F of a pair counted as warm-up.
std::vector<Order> orders_of(const Pipeline& pipeline, int (*warm_up)(int from_last), int (*waiting)(int stage)) {
  const int num_stages = pipeline.placement.num_stages();
  std::vector<Order> orders;
  for (int stage = 0; stage < num_stages; ++stage) {
    Order order;
    order.reserve(index(3 * pipeline.microbatches));
    SplitBackward backward(order, stage, waiting(stage));
    int forward = 0;
    const int first = std::min(warm_up(num_stages - stage), pipeline.microbatches);
    while (forward < first) order.push_back({Phase::forward, stage, forward++});
    for (int m = 0; m < pipeline.microbatches; ++m) {
      backward.run_backward();
      if (forward < pipeline.microbatches) order.push_back({Phase::forward, stage, forward++});
    }
    backward.run_remaining();
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace

std::vector<Order> zb_h1_orders(const Pipeline& pipeline) {
  return orders_of(
      pipeline, [](int from_last) { return from_last; }, [](int stage) { return stage; });
}

std::vector<Order> zb_h2_orders(const Pipeline& pipeline) {
  return orders_of(
      pipeline, [](int from_last) { return 2 * from_last - 1; }, [](int stage) { return 2 * stage; });
}

}  // namespace dml
