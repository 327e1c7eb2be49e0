// What a rank holds for the whole run: its groups, its weights, gradients and optimizer state, and the program of a step.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "parallel/partition.h"
#include "runtime/config.h"
#include "runtime/data/dataset.h"
#include "runtime/executor.h"
#include "runtime/program.h"

namespace dml {

/// The numbers that a step sums over all ranks.
struct StepTotals {
  double loss = 0;
  double square_norm = 0;  ///< of the gradient, each global element once
  double correct = 0;      ///< samples whose largest logit is the label's
};

class RankState {
 public:
  /// Collective over `world`: makes the groups. Reads this rank's weights.
  RankState(const Partition& partition, const OptimizerConfig& optimizer, Communicator& world);

  /// Copies this rank's samples of global batch `step` to their places, and sets what changes from step to step.
  void load(const Dataset& data, std::int64_t step, std::int64_t batch, double learning_rate, std::uint64_t seed);
  /// One step; the totals are those of all ranks.
  void run_step();

  const StepTotals& totals() const { return totals_; }
  /// This rank's own addend of the loss, for messages.
  double local_loss() const { return local_loss_; }
  const Partition& partition() const { return partition_; }
  const Program& program() const { return *program_; }
  Executor& executor() { return *executor_; }
  RankGroups& groups() { return groups_; }

  const float* parameters() const { return flat(0); }
  const float* gradients() const { return flat(1); }
  std::int64_t planned_bytes() const;
  std::int64_t used_bytes() const;
  std::int64_t num_parameters() const;

 private:
  static constexpr int kParameters = 0, kGradients = 1, kMoment1 = 2, kMoment2 = 3;
  float* flat(int buffer) const;
  void make_groups(Communicator& world);
  void load_parameters();
  void gather_totals();
  Ticket post_totals();
  void update();
  double own_square_norm() const;
  std::string describe(const Task& task) const;

  const Partition& partition_;
  OptimizerConfig optimizer_;
  RankGroups groups_;
  Arena flat_;
  std::int64_t stride_ = 0;  ///< elements between the flat buffers
  std::vector<StepState> states_;  ///< by microbatch
  std::vector<KernelContext> contexts_;
  std::vector<bool> owned_;  ///< by segment: this rank speaks for it in the norm
  std::vector<bool> computed_;  ///< by segment: an addend of its gradient is computed on this rank
  double step_rate_ = 0, correction1_ = 1, correction2_ = 1;
  std::int64_t updates_ = 0;
  StepTotals totals_;
  double local_loss_ = 0;
  std::vector<std::int64_t> ids_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace dml
