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

void ScheduleCache::begin_model() {
  for (auto& [shape, entries] : cached_) {
    std::erase_if(entries, [](const Entry& entry) { return is_searched(*entry.schedule); });
    for (Entry& entry : entries) {
      entry.is_asked = false;
      entry.orders->same = nullptr;
    }
  }
}

const CachedOrders& ScheduleCache::orders(const LayoutChoice& layout, const std::vector<StageCost>& costs) {
  auto& entries = cached_[{layout.schedule->placement, layout.p, layout.chunks, layout.microbatches}];
  auto found = std::ranges::find(entries, layout.schedule, &Entry::schedule);
  if (found != entries.end() && found->is_asked) return *found->orders;
  if (found == entries.end()) found = entries.insert(entries.end(), Entry{layout.schedule, false, made(layout, costs)});
  const auto twin = std::ranges::find_if(entries, [&](const Entry& other) {
    return other.is_asked && found->orders->refusal.empty() && other.orders->same == nullptr &&
           other.orders->orders == found->orders->orders;
  });
  if (twin != entries.end()) found->orders->same = twin->schedule;
  found->is_asked = true;
  return *found->orders;
}

}  // namespace dml
