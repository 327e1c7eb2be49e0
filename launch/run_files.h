// A run folder as it lies on disk: what `dmltrain` wrote there, read back.
#pragma once

#include <string>
#include <vector>

#include "launch/report/timeline_file.h"
#include "parallel/simulate/step_simulation.h"
#include "runtime/config.h"

namespace dml {

struct RunFiles {
  std::string folder;
  Config config;
  TimelineFile timeline;             ///< of one step
  std::vector<double> step_seconds;  ///< of all steps but the first two
  StepParts parts;                   ///< of the last step, mean of the ranks
};

/// Reads config.toml, measured.json and steps.jsonl. Throws UsageError and IoError with the file, and the line where
/// there is one, where something is not there, cut short, or none of these.
RunFiles read_run(const std::string& folder);

}  // namespace dml
