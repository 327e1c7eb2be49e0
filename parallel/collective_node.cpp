#include "parallel/collective_node.h"

#include "models/op.h"

namespace dml {

TaskKind task_kind_of(const Node& node) {
  const std::string_view op = node.op->name;
  if (op == "AllReduce") return TaskKind::all_reduce;
  if (op == "AllGather") return TaskKind::all_gather;
  return op == "ReduceScatter" ? TaskKind::reduce_scatter : TaskKind::compute;
}

std::int64_t collective_bytes(const Graph& graph, const Node& node) {
  const bool scatters = task_kind_of(node) == TaskKind::reduce_scatter;
  const Value& whole = graph.value(scatters ? node.inputs[0] : node.outputs[0]);
  return whole.num_bytes();
}

}  // namespace dml
