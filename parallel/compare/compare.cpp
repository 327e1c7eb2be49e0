#include "parallel/compare/compare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>

#include "models/index.h"
#include "parallel/simulate/exchanges.h"

namespace dml {
namespace {

/// Spans of a timeline by rank and task.
class Places {
 public:
  Places(std::span<const RankTasks> ranks, const Timeline& timeline) : timeline_(timeline) {
    std::size_t next = 0;
    for (const RankTasks& rank : ranks) {
      first_.push_back(next);
      next += rank.tasks.size();
    }
  }
  const Span& at(std::int32_t rank, std::int32_t task) const {
    return timeline_.spans[first_[index(rank)] + index(task)];
  }

 private:
  const Timeline& timeline_;
  std::vector<std::size_t> first_;
};

double seconds_of(const Span& span) { return span.start < 0 ? 0 : span.end - span.start; }

/// fn(rank, task) for every task of every rank.
template <typename Fn>
void for_each_task(std::span<const RankTasks> ranks, const Fn& fn) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    for (std::size_t i = 0; i < ranks[rank].tasks.size(); ++i)
      fn(static_cast<std::int32_t>(rank), static_cast<std::int32_t>(i));
  }
}

/// What a task of the path waited for.
class PathFinder {
 public:
  PathFinder(std::span<const RankTasks> ranks, const Mesh& mesh, const Timeline& timeline)
      : ranks_(ranks), exchanges_(find_exchanges(ranks, mesh)), places_(ranks, timeline) {
    for (const RankTasks& rank : ranks) {
      auto& before = compute_before_.emplace_back();
      std::int32_t last = -1;
      for (std::size_t i = 0; i < rank.tasks.size(); ++i) {
        before.push_back(last);
        if (rank.tasks[i].queue == QueueId::compute) last = static_cast<std::int32_t>(i);
      }
    }
  }

  Side last_of_all() const {
    Side last{-1, -1};
    for_each_task(ranks_, [&](std::int32_t rank, std::int32_t task) {
      if (last.rank < 0 || end(rank, task) > end(last.rank, last.task)) last = {rank, task};
    });
    return last;
  }

  /// {-1, -1} where nothing came before.
  Side before(const Side& side) const {
    const Side from = last_begun(side);
    Side latest{-1, -1};
    const RankTasks& tasks = ranks_[index(from.rank)];
    const auto consider = [&](std::int32_t task) {
      if (task < 0 || end(from.rank, task) >= end(side.rank, side.task)) return;
      if (latest.rank < 0 || end(from.rank, task) > end(latest.rank, latest.task)) latest = {from.rank, task};
    };
    consider(compute_before_[index(from.rank)][index(from.task)]);
    for (const std::int32_t dep : tasks.deps_of(tasks.tasks[index(from.task)])) consider(dep);
    return latest;
  }

  double end(std::int32_t rank, std::int32_t task) const { return places_.at(rank, task).end; }
  /// When all sides of the task's exchange have begun; of other tasks their own begin.
  double begin(const Side& side) const {
    const Side last = last_begun(side);
    return places_.at(last.rank, last.task).start;
  }

 private:
  /// A collective and a receive begin with the side that posts last.
  Side last_begun(const Side& side) const {
    const std::int32_t exchange = exchanges_.of_task[index(side.rank)][index(side.task)];
    if (exchange < 0) return side;
    Side last = side;
    for (const Side& other : exchanges_.sides(exchange)) {
      if (places_.at(other.rank, other.task).start > places_.at(last.rank, last.task).start) last = other;
    }
    return last;
  }

  std::span<const RankTasks> ranks_;
  Exchanges exchanges_;
  Places places_;
  std::vector<std::vector<std::int32_t>> compute_before_;  ///< by rank and task
};

}  // namespace

JoinedStep join(std::span<const RankTasks> ranks, const MeasuredStep& measured) {
  JoinedStep joined;
  joined.measured.measured = true;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    std::unordered_map<std::string, const MeasuredTask*> executed;
    if (rank < measured.size()) {
      for (const MeasuredTask& task : measured[rank]) executed.emplace(task.id, &task);
    }
    for (std::size_t i = 0; i < ranks[rank].tasks.size(); ++i) {
      const std::string id = ranks[rank].tasks[i].id.to_string();
      Span span{static_cast<std::int32_t>(i), static_cast<std::int32_t>(rank), -1, -1, -1};
      if (const auto found = executed.find(id); found != executed.end()) {
        span.start = found->second->start;
        span.end = found->second->end;
        executed.erase(found);
      } else {
        joined.not_executed.push_back({static_cast<int>(rank), id});
      }
      joined.measured.spans.push_back(span);
    }
    for (const auto& [id, task] : executed) joined.not_generated.push_back({static_cast<int>(rank), id});
  }
  std::sort(joined.not_generated.begin(), joined.not_generated.end(),
            [](const auto& a, const auto& b) { return std::tie(a.rank, a.id) < std::tie(b.rank, b.id); });
  return joined;
}

TaskSeconds measured_seconds(std::span<const RankTasks> ranks, const Timeline& measured, const Mesh& mesh) {
  const Exchanges exchanges = find_exchanges(ranks, mesh);
  const Places places(ranks, measured);
  std::vector<std::vector<double>> seconds;
  for (const RankTasks& rank : ranks) {
    auto& of_rank = seconds.emplace_back();
    double ready = 0;  // the rank has ended what it did before, and waits for nothing
    for (std::size_t i = 0; i < rank.tasks.size(); ++i) {
      const Span& own = places.at(rank.rank, static_cast<std::int32_t>(i));
      for (const std::int32_t dep : rank.deps_of(rank.tasks[i])) ready = std::max(ready, places.at(rank.rank, dep).end);
      double begin = ready;
      const std::int32_t exchange = exchanges.of_task[index(rank.rank)][i];
      if (exchange >= 0) {
        begin = own.start;
        for (const Side& side : exchanges.sides(exchange))
          begin = std::max(begin, places.at(side.rank, side.task).start);
      } else {
        ready = own.end;
      }
      of_rank.push_back(std::max(0.0, own.end - begin));
    }
  }
  return [seconds = std::move(seconds)](const RankTasks& rank, std::size_t i) { return seconds[index(rank.rank)][i]; };
}

std::string kind_of(const Task& task) {
  if (task.queue == QueueId::compute) {
    if (task.id.phase == Phase::forward) return "forward";
    return task.id.phase == Phase::update ? "update" : "backward";
  }
  std::string kind(name_of(task.kind));
  if (task.kind != TaskKind::send && task.kind != TaskKind::receive) kind += std::string(" ") + letter_of(task.axis);
  return kind;
}

std::string title_of(const Graph& graph, const Task& task) {
  if (task.node != kNone) return graph.node(task.node).name;
  return task.value != kNone ? graph.value(task.value).name : kind_of(task);
}

std::vector<ComparedGroup> compare_groups(std::span<const RankTasks> ranks, const Timeline& predicted,
                                          const Timeline& measured, const GroupOf& group_of) {
  std::vector<ComparedGroup> groups;
  std::unordered_map<std::string, std::size_t> known;
  const Places there(ranks, predicted), here(ranks, measured);
  const double per_rank = 1 / static_cast<double>(std::max<std::size_t>(ranks.size(), 1));
  for_each_task(ranks, [&](std::int32_t rank, std::int32_t task) {
    const std::string name = group_of(ranks[index(rank)], ranks[index(rank)].tasks[index(task)]);
    const auto [entry, is_new] = known.try_emplace(name, groups.size());
    if (is_new) groups.push_back({name, 0, 0, 0});
    ComparedGroup& group = groups[entry->second];
    ++group.count;
    group.predicted += seconds_of(there.at(rank, task)) * per_rank;
    group.measured += seconds_of(here.at(rank, task)) * per_rank;
  });
  return groups;
}

double task_error(std::span<const RankTasks> ranks, const Timeline& predicted, const Timeline& measured) {
  double differences = 0, all = 0;
  const Places there(ranks, predicted), here(ranks, measured);
  for_each_task(ranks, [&](std::int32_t rank, std::int32_t task) {
    if (ranks[index(rank)].tasks[index(task)].queue != QueueId::compute) return;
    const double seconds = seconds_of(here.at(rank, task));
    differences += std::abs(seconds_of(there.at(rank, task)) - seconds);
    all += seconds;
  });
  return all > 0 ? differences / all : 0;
}

std::vector<ComparedTask> largest_differences(std::span<const RankTasks> ranks, const Timeline& predicted,
                                              const Timeline& measured, std::size_t count) {
  std::vector<ComparedTask> all;
  const Places there(ranks, predicted), here(ranks, measured);
  for_each_task(ranks, [&](std::int32_t rank, std::int32_t task) {
    all.push_back({rank, task, seconds_of(there.at(rank, task)), seconds_of(here.at(rank, task))});
  });
  const auto difference = [](const ComparedTask& t) { return std::abs(t.predicted - t.measured); };
  count = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                    [&](const ComparedTask& a, const ComparedTask& b) { return difference(a) > difference(b); });
  all.resize(count);
  return all;
}

std::vector<PathStep> critical_path(std::span<const RankTasks> ranks, const Mesh& mesh, const Timeline& timeline) {
  const PathFinder finder(ranks, mesh, timeline);
  std::vector<PathStep> path;
  Side at = finder.last_of_all();
  while (at.rank >= 0) {
    const Side before = finder.before(at);
    const double begin = before.rank < 0 ? 0 : finder.end(before.rank, before.task);
    const double seconds = finder.end(at.rank, at.task) - begin;
    path.push_back({at.rank, at.task, seconds, std::clamp(finder.begin(at) - begin, 0.0, seconds)});
    at = before;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<PathGroup> path_groups(std::span<const RankTasks> ranks, std::span<const PathStep> path,
                                   const GroupOf& group_of) {
  std::map<std::string, PathGroup> groups;
  const auto add = [&](const std::string& name, double seconds) {
    PathGroup& group = groups[name];
    ++group.count;
    group.seconds += seconds;
  };
  for (const PathStep& step : path) {
    const RankTasks& rank = ranks[index(step.rank)];
    add(group_of(rank, rank.tasks[index(step.task)]), step.seconds - step.idle);
    if (step.idle > 0) add(kBetweenTasks, step.idle);
  }
  std::vector<PathGroup> result;
  for (auto& [name, group] : groups) {
    group.name = name;
    result.push_back(group);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const PathGroup& a, const PathGroup& b) { return a.seconds > b.seconds; });
  return result;
}

}  // namespace dml
