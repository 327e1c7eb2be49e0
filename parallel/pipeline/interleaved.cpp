#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "models/index.h"
#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

/// The passes of one position in the order in which chunks take turns: pass k of a direction is of chunk
/// (k / group) mod v, backward from the last chunk on.
class Rounds {
 public:
  Rounds(const Pipeline& pipeline, int position)
      : positions_(pipeline.placement.num_positions()),
        chunks_(pipeline.placement.num_stages() / positions_),
        group_(pipeline.group == 0 ? positions_ : pipeline.group),
        position_(position) {
    if (group_ < positions_) {
      throw std::invalid_argument(
          fmt::format("[schedule] a group of {} microbatches is smaller than the {} positions: their first chunks "
                      "would wait for each other",
                      group_, positions_));
    }
    const int rounds = (pipeline.microbatches + group_ - 1) / group_;
    total_ = rounds * group_ * chunks_;
  }

  int total() const { return total_; }
  int warm_up() const { return 2 * (positions_ - position_ - 1) + (chunks_ - 1) * group_; }
  Action forward(int k, bool with_next) const {
    return {Phase::forward, stage(k / group_ % chunks_), microbatch(k), true, with_next};
  }
  Action backward(int k) const { return {Phase::input_grad, stage(chunks_ - 1 - k / group_ % chunks_), microbatch(k)}; }

 private:
  int stage(int chunk) const { return chunk * positions_ + position_; }
  int microbatch(int k) const { return k / (group_ * chunks_) * group_ + k % group_; }

  int positions_, chunks_, group_, position_;
  int total_ = 0;
};

std::vector<Order> orders_of(const Pipeline& pipeline, bool overlapped) {
  std::vector<Order> orders;
  for (int position = 0; position < pipeline.placement.num_positions(); ++position) {
    const Rounds rounds(pipeline, position);
    Order order;
    order.reserve(index(2 * rounds.total()));
    int forward = 0;
    const int warm_up = std::min(rounds.total(), rounds.warm_up() + (overlapped ? 1 : 0));
    while (forward < warm_up) order.push_back(rounds.forward(forward++, false));
    for (int backward = 0; backward < rounds.total(); ++backward) {
      if (forward < rounds.total()) order.push_back(rounds.forward(forward++, overlapped));
      order.push_back(rounds.backward(backward));
    }
    keep_if(order, [&](const Action& a) { return a.microbatch < pipeline.microbatches; });
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace

std::vector<Order> interleaved_orders(const Pipeline& pipeline) { return orders_of(pipeline, false); }

std::vector<Order> overlapped_interleaved_orders(const Pipeline& pipeline) { return orders_of(pipeline, true); }

}  // namespace dml
