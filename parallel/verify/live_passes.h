// Whether a rank keeps what its schedule promises of memory.
#pragma once

#include <vector>

#include "parallel/partition.h"
#include "parallel/verify/finding.h"

namespace dml {

/// A finding where the tasks of a rank keep more passes at a time, forward passes that have begun and whose backward
/// pass has not, than `schedule` promises (ScheduleDef::most_alive). None for a schedule by memory, which keeps its
/// limit where it is made, and for forward passes alone.
std::vector<Finding> verify_live_passes(const Partition& rank, const ScheduleDef& schedule);

}  // namespace dml
