// Listens to a training run: makes its folder once all checks have passed, prints, and writes what is said.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "launch/cores.h"
#include "launch/report/run/run_history.h"
#include "launch/report/timeline_file.h"
#include "launch/run_folder.h"
#include "launch/terminal/terminal.h"
#include "runtime/records.h"

namespace dml {

/// The chart of a run's step with a predicted side, by the run's folder; empty: there is none.
using PredictedChart = std::function<std::string(const std::string& folder)>;

class RunReporter : public RunObserver {
 public:
  /// The first page shows the cores and threads of `cores`, and its notes after the plan's own. `predicted_chart` is
  /// asked once the run's other files are written.
  RunReporter(const Config& config, Terminal& terminal, CorePlan cores, PredictedChart predicted_chart)
      : config_(config), terminal_(terminal), cores_(std::move(cores)), predicted_chart_(std::move(predicted_chart)) {}

  void started(const RunPlan& plan) override;
  std::string checkpoint_folder() const override { return folder_->file("checkpoints"); }
  void noted(const std::string& line) override;
  void stepped(const StepRecord& record, const std::vector<RankStep>& ranks) override;
  void traced(std::span<const RankTasks> ranks, const Timeline& timeline, const Mesh& mesh,
              const std::function<std::string(const RankTasks&, const Task&)>& name_of_task) override;
  void finished(const RunSummary& summary) override;

  /// Where the run's files go. Null before started.
  RunFolder* folder() { return folder_.get(); }

 private:
  /// With the predicted side where there is one.
  std::string chart_of_step();

  const Config& config_;
  Terminal& terminal_;
  CorePlan cores_;
  PredictedChart predicted_chart_;
  std::unique_ptr<RunFolder> folder_;
  RunPlace place_;
  RunPlan plan_;
  std::unique_ptr<RunHistory> history_;
  std::string step_chart_;
};

/// True for the steps whose line stays on a terminal: the first, the last, each tenth of the run, and those that
/// validate.
bool line_stays(const StepRecord& record);

}  // namespace dml
