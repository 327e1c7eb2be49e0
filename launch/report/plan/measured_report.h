// What `dmltrain plan --measure` shows: predicted and measured steps of the best layouts, and the regret.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/report/plan/plan_report.h"
#include "launch/terminal/style.h"

namespace dml {

struct MeasuredLayout {
  RankedLayout ranked;
  std::vector<double> step_seconds;

  double median() const;
};

/// By how much the layout that is predicted to be the best is slower than the fastest one: 0.05 of 5 %. `layouts` are
/// in the order of the prediction.
double regret_of(std::span<const MeasuredLayout> layouts);

std::string measured_text(const PlanReport& plan, std::span<const MeasuredLayout> layouts, Style style);
/// "layouts" with predicted_ms and measured_ms, "regret", and "best": an index in them.
std::string measured_json(const PlanReport& plan, std::span<const MeasuredLayout> layouts);

}  // namespace dml
