// `dmltrain plan --measure K`: the layouts that are predicted to be the best, trained here for a few steps.
#pragma once

#include <cstddef>

#include "launch/options/command_line.h"
#include "launch/report/plan/plan_report.h"

namespace dml {

/// The options of a run that trains in this layout.
LayoutConfig with_layout(LayoutConfig config, const LayoutChoice& layout);

/// Prints what the best `count` layouts took. Ranks are threads of this process. The layouts take turns, so that what
/// disturbs the machine disturbs all; layouts that only can be planned are left out. Throws UsageError where the
/// machine is too small.
void plan_measure(const Command& command, const PlanReport& plan, std::size_t count, Terminal& terminal);

}  // namespace dml
