// What `dmltrain plan` has found: as a table on the terminal, as CSV and as JSON.
#pragma once

#include <cstdint>
#include <string>

#include "launch/terminal/style.h"
#include "parallel/plan/search.h"

namespace dml {

struct PlanReport {
  std::string model;
  std::string hardware;
  int world = 1;
  std::int64_t batch = 1;
  double memory_limit = 0;         ///< bytes of a rank; 0: none
  std::int64_t epoch_samples = 0;  ///< 0: not known
  double search_seconds = 0;
  SearchResult found;

  /// Of the step on one device over this one.
  double speed_up(const StepEstimate& step) const { return found.one_device_seconds / step.seconds; }
  /// 0 where the epoch is not known.
  double epoch_seconds(const StepEstimate& step) const;
};

/// "megatron", "gather"; "-" where t is 1.
std::string tensor_mode_text(const LayoutChoice& layout);
/// The options of a training run that has this layout.
std::string layout_options(const LayoutChoice& layout);

struct PlanTableOptions {
  std::size_t most_rows = 10;
  bool all = false;  ///< all layouts, also those that are not possible
};

std::string plan_text(const PlanReport& plan, const PlanTableOptions& options, Style style);
/// A line per layout, the best first. Where not `all`, impossible ones are left out, else they have a reason.
std::string plan_csv(const PlanReport& plan, bool all);
/// "layouts" of as many rows, "rejected" by reason; of `all`, each with its message.
std::string plan_json(const PlanReport& plan, const PlanTableOptions& options);
/// A page of its own: time over memory with the Pareto front, and a table.
std::string plan_page(const PlanReport& plan);

}  // namespace dml
