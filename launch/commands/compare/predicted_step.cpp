#include "launch/commands/compare/predicted_step.h"

#include <array>
#include <filesystem>

#include "launch/atomic_file.h"
#include "launch/commands/compare/generated_run.h"
#include "launch/hardware_file.h"
#include "launch/report/run/step_chart.h"

namespace dml {
namespace {

/// A second or two of one core.
constexpr std::uintmax_t kMostMeasuredBytes = std::uintmax_t{64} << 20;

}  // namespace

std::string predicted_step_chart(const std::string& folder) {
  namespace fs = std::filesystem;
  const std::string calibration(kCalibrationFile);
  if (!fs::exists(calibration) || fs::file_size(fs::path(folder) / "measured.json") > kMostMeasuredBytes) return "";
  const GeneratedRun run(read_run(folder));
  const Timeline simulated = run.simulate(find_hardware(calibration)).timeline;
  write_file((fs::path(folder) / "simulated.json").string(),
             timeline_text(run.tasks(), simulated, run.files().timeline.place));
  const std::array<ChartSide, 2> sides{{{"simulated", &simulated}, {"measured", &run.joined().measured}}};
  return step_chart(run, sides, kMostChartSpans);
}

}  // namespace dml
