#include "parallel/simulate/exchanges.h"

#include <fmt/format.h>

#include <array>
#include <numeric>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "models/index.h"

namespace dml {
namespace {

/// What the sides of an exchange agree on. Of a collective: axis, group, phase, operation, microbatch and stage. Of a
/// transfer: the ranks, the channel, and its number there.
struct ExchangeKey {
  TaskKind kind;
  Axis axis;
  std::array<std::int32_t, 5> numbers;
  friend bool operator==(const ExchangeKey&, const ExchangeKey&) = default;
};

struct KeyHash {
  std::size_t operator()(const ExchangeKey& key) const {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15U;
    std::uint64_t hash = static_cast<std::uint64_t>(key.kind) * 8 + static_cast<std::uint64_t>(key.axis);
    for (const std::int32_t number : key.numbers) {
      hash = (hash ^ static_cast<std::uint32_t>(number)) * kOdd;
      hash ^= hash >> 32U;
    }
    return hash;
  }
};

bool is_transfer(const Task& task) { return task.kind == TaskKind::send || task.kind == TaskKind::receive; }

class Matcher {
 public:
  explicit Matcher(const Mesh& mesh) : mesh_(mesh) {}

  ExchangeKey key_of(int rank, const Task& task) {
    if (is_transfer(task)) {
      const bool sends = task.kind == TaskKind::send;
      const auto [from, to] = sends ? std::pair(rank, task.peer) : std::pair(task.peer, rank);
      const std::int32_t number = transfers_[{task.kind, Axis::pipeline, {from, to, task.channel}}]++;
      return {TaskKind::send, Axis::pipeline, {from, to, task.channel, number}};
    }
    // The ranks of the world name the sum of their totals after stages of their own.
    const bool is_world = task.axis == Axis::world;
    const std::int32_t color = is_world ? 0 : mesh_.group_color(rank, task.axis);
    const std::int32_t stage = is_world ? 0 : task.id.stage;
    return {task.kind,
            task.axis,
            {color, static_cast<std::int32_t>(task.id.phase), task.id.operation, task.id.microbatch, stage}};
  }

 private:
  const Mesh& mesh_;
  std::unordered_map<ExchangeKey, std::int32_t, KeyHash> transfers_;  ///< how many so far
};

/// How many sides an exchange must have; 0 where that depends on the model (the stages of a tied weight).
std::size_t wanted_sides(const Task& task, const RankClasses& classes) {
  if (is_transfer(task)) return 2;
  return task.axis == Axis::pipeline ? 0 : index(classes.group_size(task.axis));
}

/// Exchanges by task, and how many sides each has, one place behind its own.
void number_exchanges(Exchanges& found, std::span<const RankTasks> ranks, const RankClasses& classes) {
  Matcher matcher(classes.mesh());
  std::unordered_map<ExchangeKey, std::int32_t, KeyHash> known;
  found.first_side.push_back(0);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    auto& of_task = found.of_task.emplace_back(ranks[rank].tasks.size(), -1);
    for (std::size_t i = 0; i < of_task.size(); ++i) {
      const Task& task = ranks[rank].tasks[i];
      if (task.queue == QueueId::compute) continue;
      const auto next = static_cast<std::int32_t>(found.size());
      const auto [entry, is_new] = known.try_emplace(matcher.key_of(classes.first_ranks()[rank], task), next);
      if (is_new) found.first_side.push_back(0);
      of_task[i] = entry->second;
      ++found.first_side[index(entry->second) + 1];
    }
  }
}

void place_sides(Exchanges& found) {
  std::partial_sum(found.first_side.begin(), found.first_side.end(), found.first_side.begin());
  found.all_sides.resize(found.first_side.back());
  std::vector<std::size_t> next = found.first_side;
  for (std::size_t rank = 0; rank < found.of_task.size(); ++rank) {
    for (std::size_t i = 0; i < found.of_task[rank].size(); ++i) {
      const std::int32_t exchange = found.of_task[rank][i];
      if (exchange >= 0)
        found.all_sides[next[index(exchange)]++] = {static_cast<std::int32_t>(rank), static_cast<std::int32_t>(i)};
    }
  }
}

}  // namespace

Exchanges find_exchanges(std::span<const RankTasks> ranks, const Mesh& mesh) {
  return find_exchanges(ranks, RankClasses(mesh));
}

Exchanges find_exchanges(std::span<const RankTasks> ranks, const RankClasses& classes) {
  Exchanges found;
  number_exchanges(found, ranks, classes);
  place_sides(found);
  for (std::size_t exchange = 0; exchange < found.size(); ++exchange) {
    const std::span<const Side> sides = found.sides(static_cast<std::int32_t>(exchange));
    const Task& task = ranks[index(sides[0].rank)].tasks[index(sides[0].task)];
    const std::size_t wanted = wanted_sides(task, classes);
    if (wanted == 0 || sides.size() == wanted) continue;
    throw std::invalid_argument(fmt::format("[simulate] rank {}: {} {} has {} of {} sides",
                                            classes.first_ranks()[index(sides[0].rank)], name_of(task.kind),
                                            task.id.to_string(), sides.size(), wanted));
  }
  return found;
}

}  // namespace dml
