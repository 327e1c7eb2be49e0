#include "launch/commands/plan/planned_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "launch/commands/plan/plan_command.h"
#include "launch/commands/plan/plan_measure.h"
#include "launch/options/usage_error.h"
#include "launch/session.h"
#include "launch/terminal/number_text.h"

namespace dml {
namespace {

constexpr std::string_view kPlanAuto = "auto";

/// Behind "auto:", else this machine as calibrated.
std::string hardware_of(const std::string& plan) {
  if (plan == kPlanAuto) return "calibrated";
  const std::string prefix = std::string(kPlanAuto) + ":";
  if (plan.starts_with(prefix) && plan.size() > prefix.size()) return plan.substr(prefix.size());
  throw UsageError(fmt::format("--plan: '{}' is neither auto nor auto:HARDWARE, such as auto:a100-80g", plan));
}

int planned_world(const LayoutConfig& layout, const LauncherEnvironment& launcher) {
  const std::int64_t product = ranks_of(layout);
  const bool has_axes = layout.d > 0 || layout.p > 1 || layout.t > 1;
  if (launcher.size > 0 && layout.ranks > 0 && layout.ranks != launcher.size) {
    throw UsageError(fmt::format("--ranks {}, but {} ranks were started: leave out --ranks, or mpirun -np {}",
                                 layout.ranks, launcher.size, layout.ranks));
  }
  const std::int64_t ranks = launcher.size > 0 ? launcher.size : layout.ranks > 0 ? layout.ranks : product;
  if (has_axes && product != ranks) {
    throw UsageError(
        fmt::format("--plan auto chooses d, p and t for {} ranks, not for the {} of --d {} --p {} --t {}: "
                    "leave these out",
                    ranks, product, std::max(layout.d, 1), layout.p, layout.t));
  }
  return static_cast<int>(std::min<std::int64_t>(ranks, std::numeric_limits<int>::max()));
}

/// What `dmltrain plan` would be told; training executes no techniques. Schedule and microbatches are bounds.
Command plan_of(const Config& config) {
  Command command;
  command.config = config;
  LayoutConfig& layout = command.config.layout;
  if (layout.chunks > 0) {
    throw UsageError(
        fmt::format("--chunks {}: --plan auto finds the chunks of a schedule: leave it out", layout.chunks));
  }
  if (!layout.schedule.empty()) command.own["schedules"] = {layout.schedule};
  if (layout.microbatches > 0) {
    command.own["min-microbatches"] = command.own["max-microbatches"] = {std::to_string(layout.microbatches)};
  }
  layout.d = 0;
  layout.p = layout.t = 1;
  layout.schedule = LayoutConfig{}.schedule;
  command.own["hardware"] = {hardware_of(layout.plan)};
  command.own["recompute"] = {"none"};
  command.own["zero"] = {"0"};
  return command;
}

}  // namespace

std::string use_planned_layout(Config& config, const LauncherEnvironment& launcher) {
  if (config.layout.plan.empty()) {
    if (config.layout.ranks > 0)
      throw UsageError(
          fmt::format("--ranks {} is of --plan auto; a layout is given by --d, --p and --t", config.layout.ranks));
    return "";
  }
  const int world = planned_world(config.layout, launcher);
  const PlanReport plan = search_plan(plan_of(config), world);
  if (plan.found.ranked.empty()) {
    throw UsageError(
        fmt::format("--plan auto: none of {} layouts of {} ranks is possible; dmltrain plan --world {} --all "
                    "says why",
                    plan.found.rejected.size(), world, world));
  }
  const auto& [layout, estimate] = plan.found.ranked.front();
  config.layout = with_layout(config.layout, layout);
  config.layout.plan.clear();
  config.layout.ranks = 0;
  std::string text = fmt::format(
      "planned: {}: {} a step on {}, speed-up {:.3g} over one device, the best of {} layouts", layout_options(layout),
      seconds_text(estimate.seconds), plan.hardware, plan.speed_up(estimate), plan.found.ranked.size());
  if (plan.found.ranked.size() > 1) {
    const auto& [next, next_estimate] = plan.found.ranked[1];
    text += fmt::format("; the next is {}, {}", layout_options(next), seconds_text(next_estimate.seconds));
  }
  return text + "\n";
}

}  // namespace dml
