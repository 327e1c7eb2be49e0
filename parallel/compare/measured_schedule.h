// Passes that any program has measured, as a timeline of a pipeline schedule: what the stages took, and the schedule
// simulated with just these times.
#pragma once

#include <functional>
#include <vector>

#include "parallel/pipeline/schedule.h"
#include "parallel/simulate/schedule_simulation.h"

namespace dml {

/// The schedule's orders for a pipeline; searched schedules look at its costs.
using OrdersOf = std::function<std::vector<Order>(const Pipeline& pipeline)>;

/// The first pass of a position that is another than the schedule's.
struct OrderDifference {
  int position = 0;
  std::size_t place = 0;  ///< in the position's order
  Action measured, scheduled;
};

struct MeasuredSchedule {
  /// Costs are the medians over the microbatches of each stage; a whole backward pass counts as input gradients.
  /// `latency` is the median time from the end of a pass at another position to the begin of one that waited for it.
  Pipeline pipeline;
  ScheduleTimes measured;                       ///< the passes as they ran; the first begins at 0
  ScheduleTimes simulated;                      ///< in the schedule's order, with the costs of `pipeline`
  std::vector<OrderDifference> reordered = {};  ///< at most one for each position
  double clock_difference = 0;  ///< the most by which a pass began before its input was there: clocks that differ
};

/// `passes` are those of one step, in any order and unit of time. Weight gradients that a schedule does not have as
/// passes belong to their backward pass. Throws std::invalid_argument, with the pass, where one is missing, there
/// twice, at another position, or none of the schedule.
MeasuredSchedule measure_schedule(const std::vector<TimedAction>& passes, const Pipeline& pipeline,
                                  const OrdersOf& orders);

}  // namespace dml
