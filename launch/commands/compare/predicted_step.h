// A run's own step as this machine's calibration predicts it, beside the measured one.
#pragma once

#include <string>

namespace dml {

/// Of the run in `folder`, which has its config.toml and measured.json: writes simulated.json there, and returns the
/// chart of both sides (step_chart_json). Empty where `dmltrain calibrate` has left no file in the working directory,
/// and where the step is too large to be generated once more in little time. Throws what reading the calibration
/// throws.
std::string predicted_step_chart(const std::string& folder);

}  // namespace dml
