// `--plan auto`: training in the layout that `dmltrain plan` finds best.
#pragma once

#include <string>

#include "runtime/comm/communicator.h"
#include "runtime/config.h"

namespace dml {

/// Puts the layout that is predicted to be the fastest in place of config.layout.plan, and says which it is and why;
/// empty where no plan is asked for. All ranks come to the same. Throws UsageError where the number of ranks, the
/// hardware, or options that a plan decides contradict it.
std::string use_planned_layout(Config& config, const LauncherEnvironment& launcher);

}  // namespace dml
