// What drawn tasks took in a step: the second half of graph.html's data, where a run is given.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/report/graph/drawing.h"
#include "parallel/timeline.h"

namespace dml {

struct TaskTimes {
  std::string name;    ///< "measured", "simulated"
  std::string source;  ///< where the times come from
  /// By replica, then as DrawnProgram::tasks: seconds of all microbatches of a step, in the mean over tensor ranks; of
  /// communication from post to end.
  std::vector<std::vector<double>> seconds;
};

/// `timeline` holds a span for every task of `ranks`, which are all ranks by number; one that starts before 0 counts as
/// nothing.
TaskTimes task_times(const Drawing& drawing, std::span<const RankTasks> ranks, const Timeline& timeline);

/// The list that graph_times.js reads.
std::string task_times_json(std::span<const TaskTimes> times);

}  // namespace dml
