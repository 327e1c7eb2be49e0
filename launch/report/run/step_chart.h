// A step as the columns that run_step.js reads. Ranks that do the same share the columns of their tasks, and times
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

/// What a page holds of all sides together: about 2.5 megabytes.
inline constexpr std::size_t kMostChartSpans = 300'000;

/// JSON: `names`, `kinds`; `programs`, each the columns of its tasks; `ranks` with coordinate and program; `sides` with
/// the columns of each rank in units of `unit_us`: `start` (each less the one before), `length` (-1 where a task did
/// not run) and `processor` (-1 where unknown; left out where all are). Beyond `most_spans` the shortest tasks are left
/// out, on all ranks of a program alike; `left_out` says how many, and how long the longest of them is.
std::string step_chart_json(std::span<const RankTasks> ranks, std::span<const ChartSide> sides, const Mesh& mesh,
                            const TaskName& name_of_task, std::size_t most_spans = kMostChartSpans);

}  // namespace dml
