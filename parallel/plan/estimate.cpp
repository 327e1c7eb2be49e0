#include "parallel/plan/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "models/index.h"
#include "parallel/plan/weight_exchange.h"
#include "parallel/simulate/schedule_simulation.h"

namespace dml {
namespace {

constexpr double kF32Bytes = 4;
constexpr double kGigabyte = 1e9;
constexpr double kRounding = 1e-12;  // of sums
constexpr double kTotalsBytes = 24;  // of the sums over all ranks at the end of a step: three doubles

/// All that the parts of an estimate look at.
struct Pricing {
  const LayoutChoice& layout;
  double samples;  ///< of a microbatch, in the mean
  const EstimateOptions& options;
  const Hardware& hardware;
  const std::vector<StagePrice>& stages;   ///< of microbatches of mean size
  const std::vector<StagePrice>& largest;  ///< of the largest microbatch
  const std::vector<PositionWeights>& weights;
  Placement placement;

  WeightExchange exchange(int position) const { return {hardware, layout, weights[index(position)]}; }
};

double message_seconds(const Pricing& pricing) {
  const LayoutChoice& layout = pricing.layout;
  double bytes = 0;
  for (const StagePrice& stage : pricing.stages) bytes = std::max(bytes, stage.largest_message);
  double seconds = 0;
  for (int position = 0; position + 1 < layout.p && bytes > 0; ++position) {
    seconds =
        std::max(seconds, seconds_of_send(pricing.hardware, bytes, position * layout.t, (position + 1) * layout.t));
  }
  return seconds;
}

/// What a pass leaves until its backward pass is over: what was sent stays until its gradient comes back.
double held_by(const StagePrice& price) { return price.held + price.down_bytes; }

Pipeline pipeline_of(const Pricing& pricing, bool fused) {
  Pipeline pipeline{.placement = pricing.placement, .microbatches = pricing.layout.microbatches};
  for (std::size_t stage = 0; stage < pricing.stages.size(); ++stage) {
    const StagePrice& price = pricing.stages[stage];
    const StagePrice& most = pricing.largest[stage];
    StageCost cost;
    const double gather = pricing.exchange(pricing.placement.position(static_cast<int>(stage))).gather_of_pass();
    cost.forward = std::max(price.forward, gather);
    cost.input_grad = std::max(price.input_grad, gather);
    cost.weight_grad = fused ? price.backward - price.input_grad : price.weight_grad;
    cost.activations = held_by(most);
    cost.weight_inputs = most.held_for_weights;
    pipeline.costs.push_back(cost);
  }
  pipeline.latency = message_seconds(pricing);
  return pipeline;
}

void add_weights(MemoryUse& memory, const Pricing& pricing, const PositionWeights& weights) {
  const double bucket =
      weights.buckets.empty() ? 0 : *std::max_element(weights.buckets.begin(), weights.buckets.end()) / kF32Bytes;
  const WeightBytes bytes = held_weight_bytes(pricing.layout.techniques, weights.elems, bucket, pricing.layout.d,
                                              pricing.options.mode.optimizer_states);
  memory.parameters = bytes.parameters;
  memory.gradients = bytes.gradients;
  memory.optimizer_states = bytes.optimizer_states;
}

/// Of a position that keeps `held` bytes of passes, and `working` for the pass that runs.
MemoryUse memory_of(const Pricing& pricing, int position, double held, double working) {
  MemoryUse memory;
  add_weights(memory, pricing, pricing.weights[index(position)]);
  memory.activations = held + working;
  for (const int stage : pricing.placement.stages(position))
    memory.inputs += pricing.stages[index(stage)].fed * pricing.layout.microbatches;
  return memory;
}

/// Of the position that needs most.
MemoryUse memory_of(const Pricing& pricing, const CachedOrders& schedule) {
  const Pipeline pipeline = pipeline_of(pricing, schedule.fused);
  MemoryUse largest;
  for (int position = 0; position < pricing.layout.p; ++position) {
    double working = 0;
    for (const int stage : pricing.placement.stages(position)) {
      const StagePrice& price = pricing.largest[index(stage)];
      working = std::max(working, schedule.fused ? price.working : price.working_apart);
    }
    const double held = peak_memory(schedule.orders[index(position)], pipeline);
    const MemoryUse memory = memory_of(pricing, position, held, working);
    if (memory.total() > largest.total()) largest = memory;
  }
  return largest;
}

/// Bytes that the position that needs most has in any order that keeps so many passes, by position.
double memory_with(const Pricing& pricing, const std::vector<int>& alive) {
  double largest = 0;
  for (int position = 0; position < pricing.layout.p; ++position) {
    double held = std::numeric_limits<double>::infinity();
    double working = 0;
    for (const int stage : pricing.placement.stages(position)) {
      const StagePrice& price = pricing.largest[index(stage)];
      held = std::min(held, alive[index(position)] * held_by(price));
      working = std::max(working, std::min(price.working, price.working_apart));
    }
    largest = std::max(largest, memory_of(pricing, position, held, working).total());
  }
  return largest * (1 - kRounding);
}

MovedBytes moved_bytes(const Pricing& pricing) {
  const LayoutChoice& layout = pricing.layout;
  // As many as the whole batch has of that size: replicas may have fewer samples.
  const double passes = layout.t * static_cast<double>(pricing.options.batch) / pricing.samples;
  MovedBytes moved;
  for (int stage = 0; stage < layout.num_stages(); ++stage) {
    const StagePrice& price = pricing.stages[index(stage)];
    const auto crosses = [&](int other) {
      return other >= 0 && other < layout.num_stages() &&
             pricing.placement.position(other) != pricing.placement.position(stage);
    };
    moved.tensor += passes * price.tensor_bytes;
    if (crosses(stage + 1)) moved.pipeline += passes * price.down_bytes;
    if (crosses(stage - 1)) moved.pipeline += passes * price.up_bytes;
  }
  for (int position = 0; position < layout.p; ++position) moved.gradients += pricing.exchange(position).moved_bytes();
  moved.gradients *= 1.0 * layout.d * layout.t;
  return moved;
}

/// The end of the step behind the passes: gradient sums, the totals over all ranks, the update.
class StepEnd {
 public:
  StepEnd(const Pricing& pricing, const CachedOrders& schedule, const ScheduleTimes& times) : pricing_(pricing) {
    const LayoutChoice& layout = pricing.layout;
    totals_sum_ = seconds_of(pricing.hardware, CommKind::all_reduce, kTotalsBytes, {layout.d * layout.p * layout.t, 1});
    std::size_t first = 0;
    for (int position = 0; position < layout.p; ++position) {
      const std::size_t num_passes = schedule.orders[index(position)].size();
      add(position, times.positions[index(position)], times.actions[first + num_passes - 1]);
      first += num_passes;
    }
    if (pricing.options.clips) seconds_ += update_;
  }

  double seconds() const { return seconds_ + pricing_.hardware.step_seconds; }
  /// Mean over positions.
  double compute() const { return compute_; }
  double exposed() const { return exposed_ + pricing_.hardware.step_seconds; }

 private:
  void add(int position, const PositionTimes& times, const TimedAction& last) {
    const WeightExchange exchange = pricing_.exchange(position);
    const bool hides = !pricing_.options.hosts.cores_communicate;
    const double exposed = exchange.exposed_sums(hides ? last.end - last.start : 0);
    const double gather = exchange.gather_behind_update();
    const RunMode& mode = pricing_.options.mode;
    const double elems = exchange.updated_elems();
    const double totals = seconds_of_memory(pricing_.hardware, elems * kF32Bytes, mode.compute);
    const double update = seconds_of_update(pricing_.hardware, elems, mode.optimizer_states, mode.compute);
    const double ready = times.last_end + exposed + totals;
    seconds_ = std::max(seconds_, ready + totals_sum_);
    if (!pricing_.options.clips) seconds_ = std::max(seconds_, ready + update + gather);
    update_ = std::max(update_, update + gather);
    compute_ += (totals + update) / pricing_.layout.p;
    const double behind_update = pricing_.options.clips ? 0 : update;
    exposed_ += (exposed + gather + std::max(0.0, totals_sum_ - behind_update)) / pricing_.layout.p;
  }

  const Pricing& pricing_;
  double totals_sum_ = 0;
  double seconds_ = 0, update_ = 0, compute_ = 0, exposed_ = 0;
};

void estimate_time(StepEstimate& estimate, const Pricing& pricing, const CachedOrders& schedule) {
  const LayoutChoice& layout = pricing.layout;
  const ScheduleTimes times = simulate(schedule.orders, pipeline_of(pricing, schedule.fused));
  const StepEnd end(pricing, schedule, times);
  double busy = 0;
  double compute = end.compute();
  for (const PositionTimes& position : times.positions) busy += position.busy / layout.p;
  for (const StagePrice& stage : pricing.stages) compute += stage.compute * layout.microbatches / layout.p;
  const Hosts& hosts = pricing.options.hosts;
  const double sharing = std::max(1.0, hosts.cores.ranks / hosts.cores.at_full_speed);
  StepParts& parts = estimate.parts;
  parts.compute = compute;
  parts.exposed_comm = std::max(0.0, busy + end.compute() - compute) + end.exposed();
  parts.step = estimate.seconds = std::max(end.seconds(), compute * sharing);
  // While ranks wait for cores they are not waiting for each other.
  parts.core_wait = std::min(compute * (sharing - 1), std::max(0.0, parts.step - compute - parts.exposed_comm));
  const double rest = parts.step - parts.compute - parts.exposed_comm - parts.core_wait;
  parts.bubble = rest > kRounding * parts.step ? rest : 0;
}

}  // namespace

std::string_view name_of(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::batch: return "too few samples";
    case Obstacle::stages: return "too many stages";
    case Obstacle::tensor: return "nothing to divide";
    case Obstacle::schedule: return "no such schedule";
    case Obstacle::memory: return "too little memory";
    case Obstacle::duplicate: return "same as another";
  }
  return "";
}

void Estimator::check_batch(const LayoutChoice& layout) const {
  if (options_.batch >= std::int64_t{layout.d} * layout.microbatches) return;
  throw ImpossibleLayout(Obstacle::batch, fmt::format("{} samples for d={} replicas of {} microbatches", options_.batch,
                                                      layout.d, layout.microbatches));
}

DividedPrices& Estimator::divided(const LayoutChoice& layout) {
  const bool by_sequence = layout.techniques.sequence_parallel;
  if (by_sequence && layout.t > 1 && layout.mode == SplitMode::gather)
    throw ImpossibleLayout(Obstacle::tensor, "tensor mode gather has no sums that sequence parallelism could scatter");
  const DividedKey key{layout.t, layout.mode, by_sequence};
  if (!divided_ || divided_key_ != key) {
    divided_ =
        std::make_unique<DividedPrices>(model_, layout.t, layout.mode, by_sequence, hardware_, options_.mode.compute);
    divided_key_ = key;
  }
  if (divided_->divides()) return *divided_;
  throw ImpossibleLayout(Obstacle::tensor,
                         fmt::format("tensor mode {} divides nothing of the model by t={}",
                                     layout.mode == SplitMode::gather ? "gather" : "megatron", layout.t));
}

/// What needs no passes: a model that is too large is refused before its stages are priced.
const std::vector<PositionWeights>& Estimator::weights(const LayoutChoice& layout) {
  try {
    const auto& weights =
        divided(layout).weights(layout.placement(), layout.schedule->placement, options_.bucket_bytes);
    double largest = 0;
    for (const PositionWeights& position : weights) largest = std::max(largest, position.elems);
    check_memory(weights_of(layout, largest), "at least ");
    return weights;
  } catch (const ModelError& error) {
    throw ImpossibleLayout(Obstacle::stages, error.what());
  }
}

void Estimator::check_memory(double bytes, std::string_view what) const {
  if (options_.memory_limit == 0 || bytes <= options_.memory_limit) return;
  throw ImpossibleLayout(Obstacle::memory, fmt::format("{}{:.3g} GB of {:.3g} GB", what, bytes / kGigabyte,
                                                       options_.memory_limit / kGigabyte));
}

/// Before there is an order, which takes longer to make: smaller microbatches first, so that most need no graph of
/// their own size.
void Estimator::check_least(const LayoutChoice& layout, const std::vector<PositionWeights>& weights, double samples) {
  if (options_.memory_limit == 0) return;
  const std::vector<int> alive = least_alive(*layout.schedule, {.placement = layout.placement(),
                                                                .microbatches = layout.microbatches,
                                                                .costs = model_.cut(layout.num_stages()).costs});
  const auto check = [&](double size) {
    const std::vector<StagePrice>& stages = divided(layout).stages(layout.num_stages(), size);
    check_memory(memory_with({.layout = layout,
                              .samples = size,
                              .options = options_,
                              .hardware = hardware_,
                              .stages = stages,
                              .largest = stages,
                              .weights = weights,
                              .placement = layout.placement()},
                             alive),
                 "at least ");
  };
  for (const std::int64_t size : priced_sizes(samples)) check(static_cast<double>(size));
  check(samples);
}

double Estimator::weights_of(const LayoutChoice& layout, double elems) const {
  return weight_bytes(layout.techniques, elems, layout.d, options_.mode.optimizer_states).total();
}

StepEstimate Estimator::estimate(const LayoutChoice& layout) {
  check_batch(layout);
  const std::vector<PositionWeights>& position_weights = weights(layout);
  const std::int64_t samples = (options_.batch + layout.d - 1) / layout.d;  // of the largest replica
  const double mean = static_cast<double>(samples) / layout.microbatches;
  check_least(layout, position_weights, mean);
  const Pricing pricing{.layout = layout,
                        .samples = mean,
                        .options = options_,
                        .hardware = hardware_,
                        .stages = divided(layout).stages(layout.num_stages(), mean),
                        .largest = divided(layout).stages(layout.num_stages(), std::ceil(mean)),
                        .weights = position_weights,
                        .placement = layout.placement()};
  const CachedOrders& schedule = schedules_.orders(layout, model_.cut(layout.num_stages()).costs);
  if (!schedule.refusal.empty()) throw ImpossibleLayout(Obstacle::schedule, schedule.refusal);
  StepEstimate estimate;
  estimate.memory = memory_of(pricing, schedule);
  check_memory(estimate.memory.total(), "");
  if (const ScheduleDef& first = seen_.first_with(layout, schedule); &first != layout.schedule)
    throw ImpossibleLayout(Obstacle::duplicate, fmt::format("the order of {}", first.name));
  estimate.moved = moved_bytes(pricing);
  estimate_time(estimate, pricing, schedule);
  return estimate;
}

}  // namespace dml
