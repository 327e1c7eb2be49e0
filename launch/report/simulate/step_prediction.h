// What `dmltrain simulate --hardware` shows: a whole step of a model, predicted; on the terminal, as JSON, as a page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/terminal/style.h"
#include "parallel/memory/memory_use.h"
#include "parallel/rank_classes.h"
#include "parallel/simulate/step_simulation.h"

namespace dml {

/// A kind of task, over all ranks.
struct KindTotal {
  std::string name;
  std::int64_t tasks = 0;
  double seconds = 0;
};

struct StepPrediction {
  std::string model, hardware;
  std::int64_t batch = 0;
  RankClasses classes;
  SimulatedStep step;                 ///< of the first rank of each class
  std::vector<RankMemory> memory;     ///< by class
  std::vector<double> memory_limits;  ///< by class: bytes of its device; 0: unknown
  std::vector<KindTotal> kinds;
  double flops = 0;  ///< of the model, all ranks
  double peak = 0;   ///< FLOP/s of a rank; 0: unknown

  int num_ranks() const { return classes.mesh().world_size(); }
  double flops_per_s() const { return flops / step.seconds; }
};

std::string prediction_text(const StepPrediction& prediction, Style style);
/// Keys: launch/help/hardware.md.
std::string prediction_json(const StepPrediction& prediction);
/// A page of its own. `step_chart` is step_chart_json() of the first rank of each class.
std::string prediction_page(const StepPrediction& prediction, const std::string& step_chart);

}  // namespace dml
