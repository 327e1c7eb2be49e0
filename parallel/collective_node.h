// The nodes of a split graph that a communicator executes.
#pragma once

#include "models/graph.h"
#include "parallel/task_graph.h"

namespace dml {

/// The kind of task that runs a node of a split graph: a collective of the tensor axis, or TaskKind::compute.
TaskKind task_kind_of(const Node& node);
inline bool is_collective(const Node& node) { return is_collective(task_kind_of(node)); }

/// Bytes of such a collective, as cost/collective_cost.h counts them: of the buffer that is reduced, gathered, or
/// scattered.
std::int64_t collective_bytes(const Graph& graph, const Node& node);

}  // namespace dml
