// A pipeline schedule played in time, with nothing but the costs of its passes.
#pragma once

#include <span>
#include <vector>

#include "parallel/pipeline/schedule.h"

namespace dml {

/// One pass, in the unit of the pipeline's costs. The two halves of an overlapped pair have the same times.
struct TimedAction {
  Action action;
  int position = 0;
  double start = 0;
  double end = 0;
};

struct PositionTimes {
  double busy = 0;         ///< in passes
  double first_start = 0;  ///< of the first pass
  double last_end = 0;     ///< of the last
  double peak_memory = 0;  ///< counted from the begin of each pass
};

struct ScheduleTimes {
  double makespan = 0;  ///< from 0 to the end of the last pass of all
  /// The longest span of one position from its first pass to its last: the time of a step where steps follow each
  /// other, as the Zero Bubble paper counts it. At most the makespan.
  double cost = 0;
  double bubble_rate = 0;  ///< the part of `cost` in which a position waits, in the mean over positions
  std::vector<PositionTimes> positions;
  std::vector<TimedAction> actions;  ///< by position, in order
};

/// Each pass begins as soon as its position is free, it is its turn there, and its inputs are there: `latency` after
/// the end of the neighbour stage's pass (also of one at the same position); sending takes neither side's time. A fused
/// backward hands on its result when all of it is over. `copies` as in ScheduleDef; `orders` must be valid.
ScheduleTimes simulate(std::span<const Order> orders, const Pipeline& pipeline, int copies = 1);

}  // namespace dml
