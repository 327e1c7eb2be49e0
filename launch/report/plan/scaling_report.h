// What `dmltrain plan --scaling` shows: throughput over the number of ranks, by d, p and t alone and together, and
// over t for each number of replicas and of microbatches.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/report/plan/plan_report.h"
#include "launch/terminal/style.h"

namespace dml {

/// The best layout of a world in which only some of d, p and t are more than 1.
struct ScalingPoint {
  int world = 1;
  LayoutChoice layout;
  double samples_per_s = 0;
};

/// A line of the chart. Worlds in which nothing fits are left out.
struct ScalingLine {
  std::string name;  ///< "d alone", "together", "d=2 m=4"
  std::vector<ScalingPoint> points;
};

struct ScalingReport {
  std::string model, hardware;
  std::int64_t batch = 1;
  std::vector<int> worlds;
  double one_device = 0;             ///< samples/s on one device
  std::vector<ScalingLine> by_axis;  ///< d, p and t alone, then together
  std::vector<ScalingLine> over_t;   ///< of p = 1, over t in place of the world
};

/// Out of the searches of several worlds, ascending.
ScalingReport scaling_of(std::span<const PlanReport> plans);

std::string scaling_text(const ScalingReport& report, Style style);
std::string scaling_csv(const ScalingReport& report);
std::string scaling_json(const ScalingReport& report);
/// A page of its own with both charts.
std::string scaling_page(const ScalingReport& report);

}  // namespace dml
