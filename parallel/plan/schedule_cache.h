// The orders of schedules, made once for each pipeline, and which of them are the same.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "parallel/plan/layout_choice.h"

namespace dml {

struct CachedOrders {
  std::vector<Order> orders;  ///< by position; overlapped pairs as two passes, as the runtime runs them
  bool fused = true;          ///< weight gradients are part of the backward passes
  std::string refusal;        ///< why there are none, or empty
};

class ScheduleCache {
 public:
  /// Stages have other costs from now on: what was searched for is forgotten. No reference to it may be left.
  void begin_model();
  /// `costs` by stage, the same for a number of stages until begin_model: for searched schedules. Several threads may
  /// ask at once.
  const CachedOrders& orders(const LayoutChoice& layout, const std::vector<StageCost>& costs);

 private:
  struct Entry {
    std::once_flag is_made;
    CachedOrders orders;
  };
  using Key = std::tuple<const ScheduleDef*, int, int, int>;  ///< p, chunks, microbatches
  std::mutex mutex_;                                          ///< of the map; entries are made outside of it
  std::map<Key, Entry> cached_;
};

/// Which schedules have the orders of another one that was seen before.
class SeenOrders {
 public:
  /// The first schedule with these orders; that of `layout` itself where there is none before it.
  const ScheduleDef& first_with(const LayoutChoice& layout, const CachedOrders& orders);

 private:
  using Shape = std::tuple<Placement::Kind, int, int, int>;  ///< p, chunks, microbatches
  std::map<Shape, std::vector<std::pair<const ScheduleDef*, const CachedOrders*>>> seen_;
};

}  // namespace dml
