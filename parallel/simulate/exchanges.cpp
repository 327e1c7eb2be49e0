#include "parallel/simulate/exchanges.h"

#include <fmt/format.h>

#include <map>
#include <stdexcept>
#include <tuple>

namespace dml {
namespace {

/// Of a collective: axis, group, phase, operation, microbatch and stage. Of a transfer: the ranks, the channel, and its
/// number there.
using Key = std::tuple<TaskKind, Axis, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

bool is_transfer(const Task& task) { return task.kind == TaskKind::send || task.kind == TaskKind::receive; }

class Matcher {
 public:
  explicit Matcher(const Mesh& mesh) : mesh_(mesh) {}

  Key key_of(int rank, const Task& task) {
    if (is_transfer(task)) {
      const bool sends = task.kind == TaskKind::send;
      const auto [from, to] = sends ? std::pair(rank, task.peer) : std::pair(task.peer, rank);
      const std::int64_t number = transfers_[{task.kind, from, to, task.channel}]++;
      return {TaskKind::send, Axis::pipeline, from, to, task.channel, number, 0};
    }
    // The ranks of the world name the sum of their totals after stages of their own.
    const bool is_world = task.axis == Axis::world;
    const int color = is_world ? 0 : mesh_.group_color(rank, task.axis);
    return {task.kind,
            task.axis,
            color,
            static_cast<std::int64_t>(task.id.phase),
            task.id.operation,
            task.id.microbatch,
            is_world ? 0 : task.id.stage};
  }

 private:
  const Mesh& mesh_;
  std::map<std::tuple<TaskKind, int, int, std::int32_t>, std::int64_t> transfers_;  ///< how many so far
};

/// How many sides an exchange must have; 0 where that depends on the model (the stages of a tied weight).
std::size_t wanted_sides(const Task& task, const Mesh& mesh) {
  if (is_transfer(task)) return 2;
  return task.axis == Axis::pipeline ? 0 : static_cast<std::size_t>(mesh.extent(task.axis));
}

}  // namespace

Exchanges find_exchanges(std::span<const RankTasks> ranks, const Mesh& mesh) {
  Exchanges found;
  Matcher matcher(mesh);
  std::map<Key, std::int32_t> known;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    auto& of_task = found.of_task.emplace_back(ranks[rank].tasks.size(), -1);
    for (std::size_t i = 0; i < of_task.size(); ++i) {
      const Task& task = ranks[rank].tasks[i];
      if (task.queue == QueueId::compute) continue;
      const auto next = static_cast<std::int32_t>(found.sides.size());
      const auto [entry, is_new] = known.try_emplace(matcher.key_of(static_cast<int>(rank), task), next);
      if (is_new) found.sides.emplace_back();
      found.sides[static_cast<std::size_t>(entry->second)].push_back(
          {static_cast<std::int32_t>(rank), static_cast<std::int32_t>(i)});
      of_task[i] = entry->second;
    }
  }
  for (const std::vector<Side>& sides : found.sides) {
    const Task& task = ranks[static_cast<std::size_t>(sides[0].rank)].tasks[static_cast<std::size_t>(sides[0].task)];
    const std::size_t wanted = wanted_sides(task, mesh);
    if (wanted == 0 || sides.size() == wanted) continue;
    throw std::invalid_argument(fmt::format("[simulate] rank {}: {} {} has {} of {} sides", sides[0].rank,
                                            name_of(task.kind), task.id.to_string(), sides.size(), wanted));
  }
  return found;
}

}  // namespace dml
