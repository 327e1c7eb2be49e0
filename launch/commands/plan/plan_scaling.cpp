#include "launch/commands/plan/plan_scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "launch/atomic_file.h"
#include "launch/commands/plan/plan_command.h"
#include "launch/failure.h"
#include "launch/report/plan/scaling_report.h"
#include "launch/terminal/terminal.h"

namespace dml {

int plan_scaling(const Command& command, int most, Terminal& terminal) {
  std::vector<PlanReport> plans;
  for (int world = 1; world < most; world *= 2) plans.push_back(search_plan(command, world));
  plans.push_back(search_plan(command, most));
  if (std::all_of(plans.begin(), plans.end(), [](const PlanReport& plan) { return plan.found.ranked.empty(); }))
    throw UsageError(fmt::format("--scaling: no layout is possible on 1 to {} ranks; plan --all says why", most));
  const ScalingReport report = scaling_of(plans);
  if (command.has("csv")) write_file(command.text("csv"), scaling_csv(report));
  if (command.has("html")) write_file(command.text("html"), scaling_page(report));
  terminal.print(command.has("json") ? scaling_json(report) : scaling_text(report, terminal.style()));
  return exit_code::kDone;
}

}  // namespace dml
