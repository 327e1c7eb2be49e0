// A step as the columns that page/run_step.js draws. Ranks that do the same share the columns of their tasks, and times
// are differences of whole numbers, so that a page of 64 ranks stays small.
#pragma once

#include <span>
#include <string>

#include "launch/report/chrome_trace.h"
#include "parallel/mesh.h"
#include "parallel/task_graph.h"
#include "parallel/timeline.h"

namespace dml {

/// When the tasks ran, and how that is known: "measured", "simulated". A span that starts before 0 is none.
struct ChartSide {
  std::string name;
  const Timeline* timeline = nullptr;
};

/// What a page holds of all sides together: about two megabytes.
inline constexpr std::size_t kMostChartSpans = 150'000;

/// JSON: `names`, `kinds`; `programs`, each the columns of its tasks; `ranks` with coordinate, program and the two
/// words of all ids; `sides` with the columns `start` (each less the one before) and `length` of each rank in units of
/// `unit_us`, a length of -1 for a task that did not run. Beyond `most_spans` the shortest tasks are left out, on all
/// ranks of a program alike; `left_out` says how many, and how long the longest of them is.
std::string step_chart_json(std::span<const RankTasks> ranks, std::span<const ChartSide> sides, const Mesh& mesh,
                            const TaskName& name_of_task, std::size_t most_spans = kMostChartSpans);

}  // namespace dml
