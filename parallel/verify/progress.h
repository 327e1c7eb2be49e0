// Whether all ranks get to the end of a step: their waits for each other have no cycle.
#pragma once

#include <vector>

#include "parallel/verify/agreement.h"
#include "parallel/verify/finding.h"

namespace dml {

/// Runs the tasks of all ranks of the set against each other, without time, under the least that a runtime gives:
/// - a rank takes its tasks in the order of the list, each when its dependencies are over, and waits at once for a
///   collective whose result it adds to a gradient;
/// - a channel has one buffer, for the values of one pass: the next pass's are sent when those are received;
/// - a receive is over when the value is sent, a collective when all its members in the set have it first in its queue.
/// A finding if that stops: the ranks that wait for each other, in a circle. Who can go on does not depend on who goes
/// first, so one run decides it; O(tasks + dependencies) in all.
std::vector<Finding> verify_progress(RankSet ranks);

}  // namespace dml
