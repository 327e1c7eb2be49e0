// What a layout's training step takes, holds and moves, without building its tasks: the prices of its stages, played by
// its schedule.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>

#include "parallel/cost/task_cost.h"
#include "parallel/plan/divided_prices.h"
#include "parallel/plan/layout_choice.h"
#include "parallel/plan/schedule_cache.h"
#include "parallel/simulate/step_simulation.h"

namespace dml {

/// Bytes of a rank.
struct MemoryUse {
  double parameters = 0;
  double gradients = 0;
  double optimizer_states = 0;
  double activations = 0;  ///< the most that the schedule keeps, and what a pass works with
  double inputs = 0;       ///< of the step: fed values
  double total() const { return parameters + gradients + optimizer_states + activations + inputs; }
};

/// Bytes in a step, summed over all ranks: results of collectives on each rank, and messages.
struct MovedBytes {
  double tensor = 0;
  double pipeline = 0;
  double gradients = 0;
};

struct StepEstimate {
  double seconds = 0;
  StepParts parts;   ///< mean over ranks; the parts sum to `seconds`
  MemoryUse memory;  ///< of the pipeline position that needs most
  MovedBytes moved;
};

/// Why a layout is not possible.
enum class Obstacle : std::uint8_t { batch, stages, tensor, schedule, memory, duplicate };
/// "too little memory", ...
std::string_view name_of(Obstacle obstacle);

class ImpossibleLayout : public std::invalid_argument {
 public:
  ImpossibleLayout(Obstacle obstacle, const std::string& message) : std::invalid_argument(message), why(obstacle) {}
  Obstacle why;
};

struct EstimateOptions {
  std::int64_t batch = 1;  ///< samples of the global batch
  RunMode mode = {};
  Hosts hosts = {};
  bool clips = false;  ///< the update waits for the gradient norm
  std::int64_t bucket_bytes = 4 << 20;
  double memory_limit = 0;  ///< bytes of a rank; 0: none
};

class Estimator {
 public:
  /// Keeps the arguments. Estimators of one model may share it and `schedules`, each in a thread of its own; for
  /// another model these begin anew.
  Estimator(CutModel& model, ScheduleCache& schedules, const Hardware& hardware, const EstimateOptions& options)
      : model_(model), schedules_(schedules), hardware_(hardware), options_(options) {}

  /// Passes are timed by their tasks, alone and with the waits for tensor collectives; the schedule then plays them,
  /// with the slowest message as latency. A replica's microbatches are all of their mean size, the replica is the one
  /// with most samples. Gradient buckets become ready evenly over the last backward pass of their position and are
  /// summed one after the other: what is left when the pass ends is exposed, and the sums of tied weights wholly so.
  /// Where ranks share cores, the step is as long as their work on these cores, if that is more. Memory is as
  /// the largest rank has it, without the kernels' workspaces.
  /// ZeRO is timed as weight_exchange.h says. The layouts' recomputation and dtype are those of the model's graphs.
  /// Layouts of the same t and tensor mode in a row are cheapest. Throws ImpossibleLayout.
  StepEstimate estimate(const LayoutChoice& layout);

 private:
  using DividedKey = std::tuple<int, SplitMode, bool>;  ///< t, mode, by parts of the sequence
  void check_batch(const LayoutChoice& layout) const;
  DividedPrices& divided(const LayoutChoice& layout);
  const std::vector<PositionWeights>& weights(const LayoutChoice& layout);
  void check_least(const LayoutChoice& layout, const std::vector<PositionWeights>& weights, double samples);
  double weights_of(const LayoutChoice& layout, double elems) const;
  void check_memory(double bytes, std::string_view what) const;

  CutModel& model_;
  ScheduleCache& schedules_;
  SeenOrders seen_;
  const Hardware& hardware_;
  EstimateOptions options_;
  std::unique_ptr<DividedPrices> divided_;  ///< of the layout before
  DividedKey divided_key_;
};

}  // namespace dml
