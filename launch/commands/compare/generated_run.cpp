#include "launch/commands/compare/generated_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/options/usage_error.h"
#include "models/op.h"
#include "parallel/cost/task_cost.h"

namespace dml {

GeneratedRun::GeneratedRun(RunFiles run) : files_(std::move(run)), plan_(files_.config) {
  const int world = plan_.mesh().world_size();
  if (static_cast<std::size_t>(world) != files_.timeline.step.size()) {
    throw UsageError(fmt::format("'{}': config.toml lays out {} ranks, measured.json has {}", files_.folder, world,
                                 files_.timeline.step.size()));
  }
  for (int rank = 0; rank < world; ++rank) {
    partitions_.push_back(plan_.partition(rank));
    tasks_.push_back(partitions_.back().tasks);
  }
  joined_ = join(tasks_, files_.timeline.step);
}

double GeneratedRun::measured_seconds() const {
  double end = 0;
  for (const Span& span : joined_.measured.spans) end = std::max(end, span.end);
  return end;
}

SimulatedStep GeneratedRun::simulate(const Hardware& hardware) const {
  const RunPlace& place = files_.timeline.place;
  RunMode mode;
  mode.compute = {.threads = place.threads_per_rank, .ranks_per_host = place.ranks_per_host};
  mode.optimizer_states = files_.config.optimizer.num_states();
  const Hosts hosts = hosts_of(hardware, place.ranks_per_host,
                               static_cast<double>(place.usable_cores) / static_cast<double>(place.threads_per_rank));
  return simulate_step(tasks_, mesh(), hosts, task_seconds(hardware, partitions_, mode));
}

SimulatedStep GeneratedRun::replay() const {
  // The measured seconds hold what sharing cores cost already.
  const int world = mesh().world_size();
  return simulate_step(tasks_, mesh(), {{world, static_cast<double>(world)}},
                       dml::measured_seconds(tasks_, joined_.measured, mesh()));
}

std::vector<PathStep> GeneratedRun::critical_path(const Timeline& timeline) const {
  return dml::critical_path(tasks_, mesh(), timeline);
}

const Graph& GeneratedRun::graph_of(int rank, const Task& task) const {
  return partitions_[static_cast<std::size_t>(rank)].by_microbatch[static_cast<std::size_t>(task.id.microbatch)]->graph;
}

std::string GeneratedRun::operation_of(const RankTasks& rank, const Task& task) const {
  if (task.queue != QueueId::compute || task.node == kNone) return kind_of(task);
  return std::string(graph_of(rank.rank, task).node(task.node).op->name);
}

std::string GeneratedRun::name_of(const RankTasks& rank, const Task& task) const {
  return title_of(graph_of(rank.rank, task), task);
}

std::string step_chart(const GeneratedRun& run, std::span<const ChartSide> sides, std::size_t most_spans) {
  return step_chart_json(
      run.tasks(), sides, run.mesh(), [&](const RankTasks& rank, const Task& task) { return run.name_of(rank, task); },
      most_spans);
}

}  // namespace dml
