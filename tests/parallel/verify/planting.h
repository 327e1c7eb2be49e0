// How faults are planted: tasks are picked by what they are, and lists of tasks are changed so that they stay lists.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "parallel/verify/comm_key.h"
#include "tests/parallel/verify/mutations.h"

namespace dml::test {

using Where = std::function<bool(const Partition& rank, const Task& task)>;

struct Pick {
  Partition* rank = nullptr;
  std::size_t at = 0;
  Task& task() const { return rank->tasks.tasks[at]; }
  /// That of no other task from now on.
  Work& own_work() const {
    std::vector<Work>& works = rank->tasks.works;
    works.push_back(Work(rank->tasks.work_of(task())));
    task().work = static_cast<std::int32_t>(works.size()) - 1;
    return works.back();
  }
  std::string text() const {
    return fmt::format("rank {} {} {}", rank->rank, name_of(task().kind), task().id.to_string());
  }
};

template <typename T>
const T& one_of(const std::vector<T>& choices, Random& random) {
  return choices[std::uniform_int_distribution<std::size_t>(0, choices.size() - 1)(random)];
}

inline std::vector<Pick> tasks_where(World& world, const Where& where) {
  std::vector<Pick> picks;
  for (auto& rank : world.ranks) {
    for (std::size_t at = 0; at < rank->tasks.tasks.size(); ++at) {
      if (where(*rank, rank->tasks.tasks[at])) picks.push_back({rank.get(), at});
    }
  }
  return picks;
}

inline std::optional<Pick> pick(World& world, Random& random, const Where& where) {
  const std::vector<Pick> picks = tasks_where(world, where);
  if (picks.empty()) return std::nullopt;
  return one_of(picks, random);
}

inline bool is_tensor_collective(const Partition&, const Task& task) {
  return is_collective(task) && task.node != kNone;
}
inline bool is_gradient_sum(const Task& task) {
  return is_collective(task) && task.axis != Axis::world && task.node == kNone && task.kind != TaskKind::all_gather;
}
inline bool is_weight_gather(const Task& task) { return task.kind == TaskKind::all_gather && task.axis == Axis::data; }

// --- Changes of a list of tasks that keep it a list: indices follow, and order stays that of the rest.

/// What depended on a removed task depends on what that depended on.
inline void remove(RankTasks& tasks, const std::vector<bool>& gone) {
  RankTasks result;
  result.rank = tasks.rank;
  result.works = std::move(tasks.works);
  std::vector<std::vector<std::int32_t>> stand_in(tasks.tasks.size());  // by old index: new ones in its place
  for (std::size_t at = 0; at < tasks.tasks.size(); ++at) {
    Task task = tasks.tasks[at];
    std::vector<std::int32_t> deps;
    for (const std::int32_t dep : tasks.deps_of(task))
      std::ranges::copy(stand_in[static_cast<std::size_t>(dep)], std::back_inserter(deps));
    if (gone[at]) {
      stand_in[at] = std::move(deps);
      continue;
    }
    stand_in[at] = {static_cast<std::int32_t>(result.tasks.size())};
    task.first_dep = static_cast<std::int32_t>(result.deps.size());
    task.num_deps = static_cast<std::int32_t>(deps.size());
    std::ranges::copy(deps, std::back_inserter(result.deps));
    result.tasks.push_back(task);
  }
  tasks = std::move(result);
}

inline void remove(RankTasks& tasks, std::size_t at) {
  std::vector<bool> gone(tasks.tasks.size(), false);
  gone[at] = true;
  remove(tasks, gone);
}

/// Before place `at`; dependencies are those that the task names.
inline void insert(RankTasks& tasks, std::size_t at, Task task) {
  for (std::int32_t& dep : tasks.deps) dep += dep >= static_cast<std::int32_t>(at) ? 1 : 0;
  tasks.tasks.insert(tasks.tasks.begin() + static_cast<std::ptrdiff_t>(at), task);
}

/// The tasks in another order: `order` has their present places.
inline void reorder(RankTasks& tasks, const std::vector<std::size_t>& order) {
  std::vector<std::int32_t> place(order.size());
  std::vector<Task> reordered;
  for (std::size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = static_cast<std::int32_t>(i);
    reordered.push_back(tasks.tasks[order[i]]);
  }
  for (std::int32_t& dep : tasks.deps) dep = place[static_cast<std::size_t>(dep)];
  tasks.tasks = std::move(reordered);
}

/// Moves the tasks that `late` holds for to the place before `end`.
inline void move_behind(RankTasks& tasks, std::size_t end, const std::function<bool(std::size_t at)>& late) {
  std::vector<std::size_t> order;
  for (const bool moved : {false, true}) {
    for (std::size_t at = 0; at < end; ++at) {
      if (late(at) == moved) order.push_back(at);
    }
  }
  for (std::size_t at = end; at < tasks.tasks.size(); ++at) order.push_back(at);
  reorder(tasks, order);
}

}  // namespace dml::test
