#include "parallel/cost/task_cost.h"

namespace dml {
namespace {

CommGroup group_of(const Mesh& mesh, int rank, Axis axis) {
  if (axis == Axis::world) return {mesh.world_size(), 1};
  const std::vector<int> ranks = mesh.group(rank, axis);
  return {static_cast<int>(ranks.size()), ranks.size() > 1 ? ranks[1] - ranks[0] : 1};
}

double seconds_of_compute(const Hardware& hardware, const Partition& rank, const Task& task, const RunMode& mode) {
  if (task.kind == TaskKind::update) {
    return seconds_of_update(hardware, static_cast<double>(task.count), mode.optimizer_states, mode.compute);
  }
  if (task.node == kNone) return seconds_of_memory(hardware, static_cast<double>(task.bytes), mode.compute);
  const Graph& graph = rank.by_microbatch[static_cast<std::size_t>(task.id.microbatch)]->graph;
  return seconds_of(hardware, graph, graph.node(task.node), mode.compute);
}

double seconds_of_communication(const Hardware& hardware, const Partition& rank, const Task& task) {
  const auto bytes = static_cast<double>(task.bytes);
  if (task.kind == TaskKind::send) return seconds_of_send(hardware, bytes, rank.rank, task.peer);
  if (task.kind == TaskKind::receive) return seconds_of_send(hardware, bytes, task.peer, rank.rank);
  const CommKind kind = task.kind == TaskKind::all_gather ? CommKind::all_gather : CommKind::all_reduce;
  return seconds_of(hardware, kind, bytes, group_of(rank.mesh, rank.rank, task.axis));
}

}  // namespace

TaskSeconds task_seconds(const Hardware& hardware, std::span<const Partition> ranks, const RunMode& mode) {
  return [&hardware, ranks, mode](const RankTasks& tasks, std::size_t i) {
    const Partition& rank = ranks[static_cast<std::size_t>(tasks.rank)];
    const Task& task = tasks.tasks[i];
    return task.queue == QueueId::compute || task.kind == TaskKind::update
               ? seconds_of_compute(hardware, rank, task, mode)
               : seconds_of_communication(hardware, rank, task);
  };
}

}  // namespace dml
