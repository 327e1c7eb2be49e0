// `dmltrain compare --trace`: another program's trace as a measured timeline of a schedule.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

/// Of the schedule of the run that the command names, else of --schedule, --p, --chunks and --microbatches (those of
/// the trace where they are not given). Exit code 1 where passes ran in another order than the schedule's.
int compare_trace(const Command& command, Terminal& terminal);

}  // namespace dml
