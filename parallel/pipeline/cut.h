// Cuts a training graph into pipeline stages: contiguous runs of its forward nodes; a gradient node goes where the node
// is that it differentiates.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/graph.h"

namespace dml {

/// By node of `graph`: its stage. By cost (the slowest stage as fast as can be, by dynamic programming over all places,
/// O(stages · nodes²) at most), or after the nodes that `cut` names.
/// Throws ModelError where there are more stages than places, or a named node is not there.
std::vector<int> cut_stages(const Graph& graph, int num_stages, std::span<const std::string> cut);

/// The same as a plan from outside has it: stages by the name of a node's first output, counted from 0. A node that it
/// does not know goes with the next one that it knows. Throws ModelError where a stage comes again behind a later one,
/// or has nothing to compute.
std::vector<int> planned_stages(const Graph& graph, int num_stages,
                                const std::unordered_map<std::string, int>& stage_of);

/// The module paths of a stage's nodes, shortened to the first and the last: "blocks.0 - blocks.1".
std::string stage_label(const Graph& graph, std::span<const int> stages, int stage);

}  // namespace dml
