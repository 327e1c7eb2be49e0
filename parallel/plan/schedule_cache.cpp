#include "parallel/plan/schedule_cache.h"

#include <algorithm>
#include <stdexcept>

namespace dml {
namespace {

std::unique_ptr<CachedOrders> made(const LayoutChoice& layout, const std::vector<StageCost>& costs) {
  auto result = std::make_unique<CachedOrders>();
  try {
    result->orders =
        layout.schedule->orders({.placement = layout.placement(), .microbatches = layout.microbatches, .costs = costs});
  } catch (const std::invalid_argument& error) {
    result->refusal = error.what();
  }
  for (Order& order : result->orders) {
    for (Action& action : order) {
      action.with_next = false;
      if (action.phase == Phase::weight_grad) result->fused = false;
    }
  }
  return result;
}

}  // namespace

const CachedOrders& ScheduleCache::orders(const LayoutChoice& layout, const std::vector<StageCost>& costs) {
  auto& others = cached_[{layout.schedule->placement, layout.p, layout.chunks, layout.microbatches}];
  const auto found =
      std::find_if(others.begin(), others.end(), [&](const auto& other) { return other.first == layout.schedule; });
  if (found != others.end()) return *found->second;
  std::unique_ptr<CachedOrders> orders = made(layout, costs);
  const auto twin = std::find_if(others.begin(), others.end(), [&](const auto& other) {
    return orders->refusal.empty() && other.second->same == nullptr && other.second->orders == orders->orders;
  });
  if (twin != others.end()) orders->same = twin->first;
  return *others.emplace_back(layout.schedule, std::move(orders)).second;
}

}  // namespace dml
