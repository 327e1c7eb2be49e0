// Whether the tasks of one rank compute its stages of the divided graph, for every microbatch, and sum its gradients.
#pragma once

#include <vector>

#include "parallel/partition.h"
#include "parallel/verify/finding.h"

namespace dml {

/// Findings unless
/// - every task says of itself what it is: id, queue, group, bytes, and of transfers peer and channel;
/// - every node runs at most once for each microbatch, in its stage, in the order of microbatches, and behind all that
///   it reads (by dependencies and queues, see HappensBefore); what is sent was made before;
/// - loss, next states and the addends of all gradients that this rank owes are made for every microbatch;
/// - the flat buffers have a place for every parameter that the rank's stages read, and no place twice;
/// - every gradient is summed over all addends and microbatches, then once over the positions that share the parameter,
///   then once over the replicas, and the totals and the update wait for it; `clips`: the update for the totals, too;
/// - under ZeRO, the sums over replicas are scattered, from stage 2 on once for every microbatch (of tied
///   weights once a step), every replica updates its part, and all parts are gathered: behind the update, or from stage
///   3 on for every pass that reads them, before it does.
/// That no other node is missing follows: somebody would read what it makes. Linear in the tasks and nodes, but for the
/// sort of the ids.
std::vector<Finding> verify_rank(const Partition& rank, bool clips);

}  // namespace dml
