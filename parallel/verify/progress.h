// Whether all ranks get to the end of a step: their waits for each other have no cycle.
#pragma once

#include <vector>

#include "parallel/verify/agreement.h"
#include "parallel/verify/finding.h"

namespace dml {

/// Runs the steps of all ranks of the set against each other, without time: the launches, posts and waits that the
/// runtime compiles (memory/step_sequence.h), so that a channel has the buffers that are planned for it, no more.
/// Launches and posts never wait. A wait is over
/// - of a receive when the peer has posted the send, and of a send when the peer has posted the receive: no transport
///   needs to take a value before somebody asks for it;
/// - of a collective when all its members in the set have posted it.
/// A finding if that stops: the ranks that wait for each other, in a circle. Who can go on does not depend on who goes
/// first, so one run decides it; O(tasks + dependencies) in all. The k-th send of a channel is the k-th receive, and
/// so are collectives of a group: verify_transfers and verify_collectives hold.
std::vector<Finding> verify_progress(RankSet ranks);

}  // namespace dml
