// The task graph that is generated for the configuration of a run, joined with what the run measured.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/report/run/step_chart.h"
#include "launch/run_files.h"
#include "parallel/compare/compare.h"
#include "parallel/cost/hardware.h"
#include "parallel/partition.h"
#include "runtime/model/layout_plan.h"

namespace dml {

class GeneratedRun {
 public:
  /// Throws UsageError where the run's files are of another number of ranks.
  explicit GeneratedRun(RunFiles run);

  const RunFiles& files() const { return files_; }
  const std::vector<RankTasks>& tasks() const { return tasks_; }
  const Mesh& mesh() const { return plan_.mesh(); }
  int microbatches() const { return plan_.options().microbatches; }
  const JoinedStep& joined() const { return joined_; }
  /// Seconds until the last task of the measured step has ended.
  double measured_seconds() const;

  /// As the run's ranks would run on that hardware.
  SimulatedStep simulate(const Hardware& hardware) const;
  /// With the measured seconds of each task.
  SimulatedStep replay() const;

  std::vector<PathStep> critical_path(const Timeline& timeline) const;
  /// Compute by its operation, all else by its kind.
  std::string operation_of(const RankTasks& rank, const Task& task) const;
  /// Of the node or value of the model.
  std::string name_of(const RankTasks& rank, const Task& task) const;

 private:
  const Graph& graph_of(int rank, const Task& task) const;

  RunFiles files_;
  LayoutPlan plan_;
  std::vector<Partition> partitions_;
  std::vector<RankTasks> tasks_;
  JoinedStep joined_;
};

/// The step of all ranks as a page's chart, with the names that the model has.
std::string step_chart(const GeneratedRun& run, std::span<const ChartSide> sides, std::size_t most_spans);

}  // namespace dml
