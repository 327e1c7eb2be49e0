// What a rank holds for the whole run: its groups, its weights, gradients and optimizer state, and the programs of a
// training step and of a validation pass over them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "parallel/partition.h"
#include "runtime/config.h"
#include "runtime/data/dataset.h"
#include "runtime/device/device.h"
#include "runtime/program/executor.h"
#include "runtime/program/program.h"

namespace dml {

/// The numbers that a step sums over all ranks.
struct StepTotals {
  double loss = 0;
  double square_norm = 0;  ///< of the gradient, each global element once
  bool stops = false;      ///< some rank was asked to stop
  double correct = 0;      ///< samples whose largest logit is the label's, where that is asked for
};

/// A rank's flat buffers, each in the order of the layout's segments.
enum class FlatBuffer : std::uint8_t { parameters, gradients, moment1, moment2 };

/// Of a rank's parameters, gradients and optimizer state.
std::int64_t flat_bytes(const Partition& partition, const OptimizerConfig& optimizer);

class RankState {
 public:
  /// Collective over `world`: makes the groups. Reads this rank's weights. All that is given outlives the state;
  /// `options` are those of communication between devices.
  RankState(const Partition& partition, const OptimizerConfig& optimizer, Communicator& world, Device& device,
            const CommOptions& options = {});
  ~RankState();
  RankState(const RankState&) = delete;
  RankState& operator=(const RankState&) = delete;
  /// A forward pass over the same weights, with a partition that differs in its tasks alone.
  void add_validation(const Partition& partition);

  /// How many steps may be on their way when the next one begins: 1 where the device has memory of its own, else 0.
  int steps_ahead() const { return device_.shares_host_memory() ? 0 : 1; }
  /// Begins a step. At most steps_ahead() others are not finished.
  void begin_step() { executor().begin_step(); }
  /// Copies this rank's samples of global batch `step` to their places, and sets what changes from step to step.
  void load(const Dataset& data, std::int64_t step, std::int64_t batch, double learning_rate, std::uint64_t seed);
  /// Puts the step that began last on the device; by the recording where there is one and its tasks need no times.
  void run_step(bool is_timed = true);
  /// Returns when the earliest step that is not finished is done; the totals are its own, those of all ranks.
  void finish_step();
  /// Records a step that run_step then puts on the device as a whole. For a device with memory of its own that has done
  /// a step and has none on its way. Throws DeviceError where the device cannot record it; steps go on as before then.
  /// What communication refuses ends the run, as in any step.
  void record_step();
  /// Goes on without the recording.
  void drop_recording() { recording_.reset(); }
  /// The totals of one batch of `data` without training on it; running statistics stay as they are. While no step is on
  /// its way.
  StepTotals validate(const Dataset& data, std::int64_t index, std::int64_t batch);

  /// Of the step that was finished last. The norm's addends are parameters, in the order of the model: the same sum in
  /// every layout that splits none of them otherwise.
  StepTotals totals() const;
  /// This rank's own addend of the loss, for messages.
  double local_loss() const;
  Device& device() { return device_; }
  const Partition& partition() const { return *training_.partition; }
  Program& program() { return *training_.program; }
  Executor& executor() { return *training_.executor; }
  RankGroups& groups() { return groups_; }

  /// Device memory.
  float* flat(FlatBuffer buffer) const;
  /// How many moments the optimizer keeps.
  int num_moments() const { return optimizer_.num_states(); }
  std::int64_t planned_bytes() const;
  /// Of the planned ones those that only running the program touches.
  std::int64_t unused_bytes() const;
  std::int64_t used_bytes() const;
  std::int64_t num_parameters() const;

 private:
  /// A program, and what its kernels read of the step.
  struct Pass {
    const Partition* partition = nullptr;
    Arena states;  ///< a StepState by microbatch
    std::vector<KernelContext> contexts;
    std::unique_ptr<Program> program;
    std::unique_ptr<Executor> executor;
  };

  void make_groups(Communicator& world, const CommOptions& options);
  void make_channels();
  void load_parameters();
  void compile(Pass& pass, const Partition& partition);
  void load(Pass& pass, const Dataset& data, StepState state, std::int64_t batch);
  void gather_totals(const Pass& pass);
  void count_correct(const Pass& pass);
  Ticket post_totals();
  void update();
  void sum_squares();
  /// Clears what no task of the step sets, and runs the program with `run`.
  template <typename Run>
  void put_step(const Run& run);
  void end_step(Executor& executor) { executor.end_step(sums(), totals_.size() * sizeof(double)); }
  void finish_step(Executor& executor);
  /// Waits for a replayed step, and looks for failures of its communication.
  void watch();
  void note_stop();
  double* sums() const { return reinterpret_cast<double*>(sums_.data()); }
  std::size_t num_sums() const;
  StepState* states(const Pass& pass) const { return reinterpret_cast<StepState*>(pass.states.data()); }
  std::string describe(const Task& task) const;

  Device& device_;
  OptimizerConfig optimizer_;
  std::chrono::milliseconds deadline_;
  std::unique_ptr<Communicator> device_world_;  ///< where devices have one of their own
  RankGroups groups_;
  Arena flat_;
  std::int64_t stride_ = 0;     ///< elements between the flat buffers
  std::vector<bool> owned_;     ///< by segment: this rank speaks for it in the norm
  std::vector<bool> computed_;  ///< by segment: an addend of its gradient is computed on this rank
  /// In device memory: whether this rank was asked to stop, its loss, and over all ranks loss, correct samples,
  /// requests to stop, and each parameter's square norm.
  Arena sums_;
  std::vector<double> totals_;  ///< the same of the step that was finished last
  std::vector<std::int64_t> ids_;
  Pass training_, validation_;
  std::unique_ptr<Recording> recording_;  ///< of a training step
};

}  // namespace dml
