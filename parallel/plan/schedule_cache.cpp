#include "parallel/plan/schedule_cache.h"

#include <algorithm>
#include <stdexcept>

namespace dml {
namespace {

CachedOrders made(const LayoutChoice& layout, const std::vector<StageCost>& costs) {
  CachedOrders result;
  try {
    result.orders =
        layout.schedule->orders({.placement = layout.placement(), .microbatches = layout.microbatches, .costs = costs});
  } catch (const std::invalid_argument& error) {
    result.refusal = error.what();
  }
  for (Order& order : result.orders) {
    for (Action& action : order) {
      action.with_next = false;
      if (action.phase == Phase::weight_grad) result.fused = false;
    }
  }
  return result;
}

}  // namespace

void ScheduleCache::begin_model() {
  std::erase_if(cached_, [](const auto& entry) { return is_searched(*std::get<0>(entry.first)); });
}

const CachedOrders& ScheduleCache::orders(const LayoutChoice& layout, const std::vector<StageCost>& costs) {
  Entry* entry = nullptr;
  {
    const std::lock_guard lock(mutex_);
    entry = &cached_[{layout.schedule, layout.p, layout.chunks, layout.microbatches}];
  }
  std::call_once(entry->is_made, [&] { entry->orders = made(layout, costs); });
  return entry->orders;
}

const ScheduleDef& SeenOrders::first_with(const LayoutChoice& layout, const CachedOrders& orders) {
  auto& seen = seen_[{layout.schedule->placement, layout.p, layout.chunks, layout.microbatches}];
  const auto first =
      std::ranges::find_if(seen, [&](const auto& other) { return other.second->orders == orders.orders; });
  if (first != seen.end()) return *first->first;
  seen.emplace_back(layout.schedule, &orders);
  return *layout.schedule;
}

}  // namespace dml
