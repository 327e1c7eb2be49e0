// What one rank runs, as the nodes of its file: operations of the split graph, and messages to other ranks.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "models/onnx/graph_file.h"
#include "parallel/mesh.h"
#include "parallel/tensor/split.h"

namespace dml {

/// In an order in which it can run for one microbatch: the forward passes of the rank's stages, their backward passes
/// in reverse, then the sums of the gradients.
///   Receive -> value       peer, channel, phase
///   Send value ->          peer, channel, phase
///   AllReduce gradients -> sum     group "p" (stages that share a weight) or "d" (replicas), ranks, parameter
/// The inputs of a sum are added to each other, over all microbatches, before ranks exchange it; those of group "d" are
/// the sum of group "p" where there is one. Sends and receives on a channel keep the order of the passes.
/// `stages` is by node; values of the graph have a name each.
std::vector<std::variant<NodeId, MessageNode>> rank_run(const SplitGraph& split, std::span<const int> stages,
                                                        const Placement& placement, const Mesh& mesh, int rank);

/// The parameters, states and constants that nodes of the rank's stages read, whether or not they run.
std::vector<ValueId> rank_weights(const SplitGraph& split, std::span<const int> stages,
                                  std::span<const int> own_stages);

}  // namespace dml
