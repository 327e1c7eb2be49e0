// What `dmltrain compare A B ...` shows: measured steps beside each other, and which kinds of tasks make the
// difference.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/terminal/style.h"
#include "parallel/compare/compare.h"

namespace dml {

/// The traced step of a run, divided along its critical path.
struct ComparedRun {
  std::string folder;
  std::string layout;                ///< in words
  double traced_step = 0;            ///< seconds; each of the divisions sums to it
  std::vector<double> step_seconds;  ///< of all its steps but the first two
  std::vector<PathGroup> kinds, operations;
  std::string step_chart = {};  ///< step_chart_json() of it; empty where no page is made
};

/// They are called by letters.
inline constexpr std::size_t kMostComparedRuns = 26;

/// Against the first of `runs`: all groups of any, the largest difference of any run first, and their sums.
std::string runs_text(std::span<const ComparedRun> runs, Style style);
/// "runs", "kinds" and "operations": each group with its "ms" and "difference_ms" by run.
std::string runs_json(std::span<const ComparedRun> runs);
/// A page of its own: the traced steps on one time axis, and the tables.
std::string runs_page(std::span<const ComparedRun> runs);

}  // namespace dml
