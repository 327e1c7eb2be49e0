// Whether ranks agree: what one sends another receives, and every group has one order of collectives.
#pragma once

#include <span>
#include <vector>

#include "parallel/partition.h"
#include "parallel/verify/finding.h"

namespace dml {

/// Ranks whose tasks are known: with a rank all others of its pipeline (the same d and t), each once.
using RankSet = std::span<const Partition* const>;

/// Findings unless, on every channel, the k-th send and the k-th receive are of the same value, microbatch and bytes.
std::vector<Finding> verify_transfers(RankSet ranks);
/// Findings unless the ranks of every group (tensor, data, shared weights, world) that are in the set have the same
/// collectives in the same order, of the same parameters, elements and bytes.
std::vector<Finding> verify_collectives(RankSet ranks);

}  // namespace dml
