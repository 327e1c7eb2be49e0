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

/// Whether the costs of stages decide a schedule's orders.
inline bool is_searched(const ScheduleDef& schedule) { return schedule.most_alive == nullptr; }

class ScheduleCache {
 public:
  /// Stages have other costs from now on: what was searched for is forgotten, and which orders are the same.
  void begin_model();
  /// `costs` by stage, the same for a number of stages until begin_model: for searched schedules.
  const CachedOrders& orders(const LayoutChoice& layout, const std::vector<StageCost>& costs);

 private:
  struct Entry {
    const ScheduleDef* schedule = nullptr;
    bool is_asked = true;  ///< of this model
    std::unique_ptr<CachedOrders> orders;
  };
  using Shape = std::tuple<Placement::Kind, int, int, int>;  ///< p, chunks, microbatches
  /// In the order in which they were asked for.
  std::map<Shape, std::vector<Entry>> cached_;
};

}  // namespace dml
