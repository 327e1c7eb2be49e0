// The generated step beside the measured one, task by task: joined by id, summed by kind and by operation, and along
// the path of tasks that decides the step's time.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "parallel/mesh.h"
#include "parallel/simulate/step_simulation.h"
#include "parallel/task_graph.h"
#include "parallel/timeline.h"

namespace dml {

/// What was measured of a task; seconds on one clock for all ranks.
struct MeasuredTask {
  std::string id;
  double start = 0;
  double end = 0;
};

/// By rank.
using MeasuredStep = std::vector<std::vector<MeasuredTask>>;

/// A task of one rank that the other side does not have.
struct UnmatchedTask {
  int rank = 0;
  std::string id;
};

struct JoinedStep {
  Timeline measured;  ///< of the generated tasks, in their order: by rank, then by task; -1 where there is none
  std::vector<UnmatchedTask> not_executed;
  std::vector<UnmatchedTask> not_generated;
};

/// Finds each generated task's measured times. `ranks` are all ranks, by number.
JoinedStep join(std::span<const RankTasks> ranks, const MeasuredStep& measured);

/// The seconds that the measured step itself gives each task: of communication from its last post to its end; of a
/// compute task from the time when its rank had nothing left to wait for, so that what ranks do between tasks counts.
TaskSeconds measured_seconds(std::span<const RankTasks> ranks, const Timeline& measured, const Mesh& mesh);

/// Seconds of a group of tasks on both sides, in the mean over ranks.
struct ComparedGroup {
  std::string name;
  std::int64_t count = 0;  ///< tasks, all ranks
  double predicted = 0;
  double measured = 0;
};

/// "forward", "backward", "update", "all_reduce t", "send", ...
std::string kind_of(const Task& task);

/// Its node's name, its value's, or its kind; `graph` is of its microbatch.
std::string title_of(const Graph& graph, const Task& task);

/// A name for a task's group.
using GroupOf = std::function<std::string(const RankTasks& rank, const Task& task)>;

/// Groups in the order of their first task. Both timelines hold a span for every task of every rank, in order.
std::vector<ComparedGroup> compare_groups(std::span<const RankTasks> ranks, const Timeline& predicted,
                                          const Timeline& measured, const GroupOf& group_of);

/// A task that both sides have.
struct ComparedTask {
  int rank = 0;
  std::int32_t task = 0;
  double predicted = 0;
  double measured = 0;
};

/// The `count` tasks whose seconds differ most, the worst first.
std::vector<ComparedTask> largest_differences(std::span<const RankTasks> ranks, const Timeline& predicted,
                                              const Timeline& measured, std::size_t count);

/// How far the predicted seconds of single compute tasks are from the measured ones: the differences of all tasks and
/// ranks without their signs, over the measured seconds. 0 where nothing computes.
double task_error(std::span<const RankTasks> ranks, const Timeline& predicted, const Timeline& measured);

/// A stretch of the critical path: from the end of the task before it to its own end.
struct PathStep {
  int rank = 0;
  std::int32_t task = 0;
  double seconds = 0;
  double idle = 0;  ///< the part of `seconds` in which the task had not begun, on any side of its exchange
};

/// From the task that ends last back to the begin of the step: before each task stands the one that it waited for
/// longest, its rank's task before, what it depends on, or the last side of its exchange. The seconds sum to the end of
/// the last task.
std::vector<PathStep> critical_path(std::span<const RankTasks> ranks, const Mesh& mesh, const Timeline& timeline);

/// What a group of tasks has of a critical path.
struct PathGroup {
  std::string name;
  std::int64_t count = 0;  ///< stretches of the path
  double seconds = 0;
};

/// The group of the time in which the path goes from one task to the next, and no task runs.
inline constexpr const char* kBetweenTasks = "between tasks";

/// The groups of a path, the largest first, their idle time apart. They sum to the path, which is the step.
std::vector<PathGroup> path_groups(std::span<const RankTasks> ranks, std::span<const PathStep> path,
                                   const GroupOf& group_of);

}  // namespace dml
