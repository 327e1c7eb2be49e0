#include "parallel/cost/task_cost.h"

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "models/index.h"

namespace dml {
namespace {

CommGroup group_of(const Partition& rank, Axis axis) {
  const Mesh& mesh = rank.mesh;
  if (axis == Axis::world) return {mesh.world_size(), 1};
  if (mesh.extent(axis) == 1) return {1, 1, rank.rank};
  const auto at = [&](int place) {
    Coordinate member = rank.at;
    (axis == Axis::data ? member.d : axis == Axis::pipeline ? member.p : member.t) = place;
    return mesh.rank(member);
  };
  return {mesh.extent(axis), at(1) - at(0), at(0)};
}

double seconds_of_communication(const Hardware& hardware, const Partition& rank, const Work& work, const Task& task) {
  const auto bytes = static_cast<double>(work.bytes);
  if (task.kind == TaskKind::send) return seconds_of_send(hardware, bytes, rank.rank, task.peer);
  if (task.kind == TaskKind::receive) return seconds_of_send(hardware, bytes, task.peer, rank.rank);
  return seconds_of(hardware, comm_kind_of(task.kind), bytes, group_of(rank, task.axis));
}

class TaskPrices {
 public:
  TaskPrices(const Hardware& hardware, std::span<const Partition> ranks, const RunMode& mode)
      : hardware_(hardware), mode_(mode) {
    for (const Partition& rank : ranks) rank_of_number_[rank.rank] = &rank;
  }

  double seconds_of(const RankTasks& tasks, std::size_t i) {
    const Partition& rank = *rank_of_number_.at(tasks.rank);
    const Task& task = tasks.tasks[i];
    return task.queue == QueueId::compute || task.kind == TaskKind::update
               ? seconds_of_compute(rank, tasks.work_of(task), task)
               : seconds_of_communication(hardware_, rank, tasks.work_of(task), task);
  }

 private:
  double seconds_of_compute(const Partition& rank, const Work& work, const Task& task) {
    const Hardware& device = hardware_.device_of(rank.rank);
    if (task.kind == TaskKind::update) {
      return seconds_of_update(device, static_cast<double>(work.count), mode_.optimizer_states, mode_.compute);
    }
    if (task.node == kNone) return seconds_of_memory(device, static_cast<double>(work.bytes), mode_.compute);
    return seconds_of_node(device, rank.by_microbatch[index(task.id.microbatch)]->graph, task.node);
  }

  double seconds_of_node(const Hardware& device, const Graph& graph, NodeId node) {
    std::vector<double>& known = of_nodes_[{&device, &graph}];
    known.resize(index(graph.num_nodes()), kUnknown);
    double& seconds = known[index(node)];
    if (seconds == kUnknown) seconds = dml::seconds_of(device, graph, graph.node(node), mode_.compute);
    return seconds;
  }

  static constexpr double kUnknown = -1;

  const Hardware& hardware_;
  RunMode mode_;
  std::unordered_map<int, const Partition*> rank_of_number_;
  std::map<std::pair<const Hardware*, const Graph*>, std::vector<double>> of_nodes_;
};

}  // namespace

Hosts hosts_of(const Hardware& hardware, int ranks_per_host, double ranks_at_full_speed) {
  Hosts hosts{.cores = {ranks_per_host, ranks_at_full_speed},
              .dispatch_seconds = hardware.dispatch_seconds,
              .step_seconds = hardware.step_seconds,
              .cores_communicate = hardware.cores_per_host > 0,
              .overlap_slowdown = hardware.overlap_slowdown};
  if (hardware.host_bytes_per_s == 0) return hosts;
  const auto beyond = std::find_if(hardware.levels.begin(), hardware.levels.end() - 1,
                                   [&](const LinkLevel& level) { return level.ranks > hardware.ranks_per_host; });
  hosts.uplinks = {hardware.ranks_per_host, hardware.host_bytes_per_s / beyond->link.bytes_per_s};
  return hosts;
}

CommKind comm_kind_of(TaskKind collective) {
  if (collective == TaskKind::all_gather) return CommKind::all_gather;
  return collective == TaskKind::reduce_scatter ? CommKind::reduce_scatter : CommKind::all_reduce;
}

TaskSeconds task_seconds(const Hardware& hardware, std::span<const Partition> ranks, const RunMode& mode) {
  if (!ranks.empty()) hardware.check_world(ranks.front().mesh.world_size());
  return [prices = std::make_shared<TaskPrices>(hardware, ranks, mode)](const RankTasks& tasks, std::size_t i) {
    return prices->seconds_of(tasks, i);
  };
}

}  // namespace dml
