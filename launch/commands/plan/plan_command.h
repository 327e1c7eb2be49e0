// `dmltrain plan`: which layout trains a model fastest on some hardware.
#pragma once

#include "launch/options/command_line.h"
#include "launch/report/plan/plan_report.h"

namespace dml {

CommandSpec plan_command();

/// The layouts of so many ranks for the command's model, hardware and bounds; none may be possible. Throws UsageError
/// where an option of the command cannot be followed.
PlanReport search_plan(const Command& command, int world);

}  // namespace dml
