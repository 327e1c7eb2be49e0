// What a run tells: the figures of all ranks, brought to rank 0 and handed to the observer.
#pragma once

#include <chrono>
#include <vector>

#include "runtime/program/rank_state.h"
#include "runtime/records.h"

namespace dml {

/// Every call is collective over the world; the observer may be null on all ranks but 0.
class RankReporter {
 public:
  RankReporter(RankState& state, Communicator& world, RunObserver* observer);

  /// Adds the ranks' own rows to `plan`.
  void started(RunPlan plan);
  /// `record` holds the work of a step where it wants rates: samples, tokens and flops are divided by the step's time.
  void stepped(StepRecord record);
  /// The last step whose tasks have times, task by task.
  void traced();
  void finished(const std::string& sample);

 private:
  /// The figures of one rank and step, as they travel.
  std::vector<double> figures() const;
  RankStep rank_step(int rank, std::int64_t step, const double* figures) const;
  /// Seconds between the first rank's begin of that step and this one's.
  double began_after_the_first() const;
  void add_to_means(const std::vector<RankStep>& ranks);

  RankState& state_;
  Communicator& world_;
  RunObserver* observer_;
  std::chrono::steady_clock::time_point start_;
  std::vector<RankPlan> plans_;
  std::vector<double> all_figures_;
  std::vector<RankStep> sums_;
  std::vector<CommTotals> comm_;
  std::int64_t num_summed_ = 0;
  std::vector<double> losses_;
};

}  // namespace dml
