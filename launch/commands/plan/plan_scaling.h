// `dmltrain plan --scaling`: how throughput grows with the number of ranks.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

/// Searches the layouts of 1, 2, 4, ... up to `most` ranks, and of `most`. Follows --csv, --html and --json.
int plan_scaling(const Command& command, int most, Terminal& terminal);

}  // namespace dml
