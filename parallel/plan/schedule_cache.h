// The orders of schedules, made once for each pipeline, and which of them are the same.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "parallel/plan/layout_choice.h"

namespace dml {

struct CachedOrders {
  std::vector<Order> orders;          ///< by position; overlapped pairs as two passes, as the runtime runs them
  bool fused = true;                  ///< weight gradients are part of the backward passes
  const ScheduleDef* same = nullptr;  ///< an earlier schedule of the same orders
  std::string refusal;                ///< why there are none, or empty
};

class ScheduleCache {
 public:
  /// `costs` by stage: for searched schedules.
  const CachedOrders& orders(const LayoutChoice& layout, const std::vector<StageCost>& costs);

 private:
  using Shape = std::tuple<Placement::Kind, int, int, int>;  ///< p, chunks, microbatches
  /// In the order in which they were asked for.
  std::map<Shape, std::vector<std::pair<const ScheduleDef*, std::unique_ptr<CachedOrders>>>> cached_;
};

}  // namespace dml
