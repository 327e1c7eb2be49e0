#include "runtime/rank_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "kernels/optimizer.h"
#include "models/op.h"

namespace dml {
namespace {

int num_flat_buffers(const OptimizerConfig& optimizer) {
  if (optimizer.kind != OptimizerKind::sgd) return 4;
  return optimizer.momentum != 0 ? 3 : 2;
}

double decay_of(const OptimizerConfig& optimizer) {
  return optimizer.weight_decay.value_or(optimizer.kind == OptimizerKind::adamw ? 0.01 : 0.0);
}

}  // namespace

RankState::RankState(const Partition& partition, const OptimizerConfig& optimizer, Communicator& world)
    : partition_(partition), optimizer_(optimizer), stride_(partition.layout.size) {
  make_groups(world);
  flat_ = Arena(stride_ * num_flat_buffers(optimizer) * 4);
  if (stride_ > 0) std::fill_n(flat(kParameters), stride_ * num_flat_buffers(optimizer), 0.0F);
  load_parameters();
  const std::size_t num_microbatches = partition.sizes.size();
  states_.resize(num_microbatches);
  for (std::size_t m = 0; m < num_microbatches; ++m) contexts_.push_back({&states_[m], partition.first_samples[m]});
  const StepEnd end{[this] { gather_totals(); }, [this] { return post_totals(); }, [this] { update(); }};
  const RankBuffers buffers{flat(kParameters), flat(kGradients)};
  program_ = std::make_unique<Program>(ProgramInputs{partition.tasks, *partition.map, partition.layout,
                                                     partition.by_microbatch, partition.stages, partition.own_stages,
                                                     contexts_, partition.place(), groups_, buffers, end, partition.keeps_output});
  executor_ = std::make_unique<Executor>(*program_, partition.tasks, [this](const Task& task) { return describe(task); });
}

float* RankState::flat(int buffer) const { return reinterpret_cast<float*>(flat_.data()) + stride_ * buffer; }

void RankState::make_groups(Communicator& world) {
  groups_.world = &world;
  const Mesh& mesh = partition_.mesh;
  const int rank = partition_.rank;
  if (mesh.d() > 1) groups_.data = world.split(mesh.group_color(rank, Axis::data), rank);
  if (mesh.t() > 1) groups_.tensor = world.split(mesh.group_color(rank, Axis::tensor), rank);
  for (const std::vector<int>& stages : partition_.tied_groups()) {
    const bool member = std::any_of(stages.begin(), stages.end(),
                                    [&](int stage) { return partition_.placement.position(stage) == partition_.at.p; });
    // Who is not in a group of this tie makes a group of its own, which is dropped.
    const int color = member ? mesh.group_color(rank, Axis::pipeline) : mesh.world_size() + rank;
    auto group = world.split(color, rank);
    if (member) groups_.tied[stages] = std::move(group);
  }
}

void RankState::load_parameters() {
  const TensorPlace place = partition_.place();
  for (const Segment& segment : partition_.layout.segments) {
    const Value& value = partition_.split().graph.value(segment.value);
    read_shard(flat(kParameters) + segment.begin, *value.source, segment.spec, place);
    // The norm counts each element once: by replica 0, the first stage of a tie, and rank 0 of what is not divided.
    const int speaker = partition_.placement.position(segment.tied_stages.front());
    owned_.push_back(partition_.at.d == 0 && partition_.at.p == speaker &&
                     (segment.spec.sharding.is_shard() || partition_.at.t == 0));
    const std::vector<ValueId>& addends = partition_.map->addends(segment.value);
    computed_.push_back(std::any_of(addends.begin(), addends.end(), [&](ValueId addend) {
      const NodeId producer = partition_.split().graph.value(addend).producer;
      return partition_.placement.position(partition_.stages[static_cast<std::size_t>(producer)]) == partition_.at.p;
    }));
  }
}

void RankState::load(const Dataset& data, std::int64_t step, std::int64_t batch, double learning_rate,
                     std::uint64_t seed) {
  const Graph& graph = partition_.split().graph;
  ids_.resize(static_cast<std::size_t>(batch));
  data.batch_ids(step, batch, ids_);
  const bool weighted = graph.label == kNone;
  const std::int64_t counted = weighted ? 1 : std::max<std::int64_t>(1, data.counted_targets(ids_));
  updates_ = step + 1;
  step_rate_ = learning_rate;
  correction1_ = 1 - std::pow(optimizer_.beta1, static_cast<double>(updates_));
  correction2_ = 1 - std::pow(optimizer_.beta2, static_cast<double>(updates_));
  for (std::size_t m = 0; m < states_.size(); ++m) {
    const double scale = weighted ? static_cast<double>(partition_.sizes[m]) / static_cast<double>(batch)
                                  : 1.0 / static_cast<double>(counted);
    states_[m].step = step;
    states_[m].seed = seed;
    states_[m].learning_rate = static_cast<float>(learning_rate);
    states_[m].loss_scale = static_cast<float>(scale);
    const std::span<const std::int64_t> samples(ids_.data() + partition_.first_samples[m],
                                                static_cast<std::size_t>(partition_.sizes[m]));
    for (std::size_t i = 0; i <= graph.inputs.size(); ++i) {
      const ValueId id = i < graph.inputs.size() ? graph.inputs[i] : graph.label;
      const TensorView place = id == kNone ? TensorView{} : program_->view(id, static_cast<int>(m));
      if (place) data.read(samples, static_cast<int>(i), place.data);
    }
  }
}

void RankState::run_step() {
  totals_ = {};
  // The gradient of a weight that is shared with another stage, and all of whose addends are computed there.
  for (std::size_t i = 0; i < computed_.size(); ++i) {
    const Segment& segment = partition_.layout.segments[i];
    if (!computed_[i]) std::fill_n(flat(kGradients) + segment.begin, segment.count, 0.0F);
  }
  executor_->run();
}

double RankState::own_square_norm() const {
  double sum = 0;
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    const Segment& segment = partition_.layout.segments[i];
    if (owned_[i]) sum += cpu::sum_of_squares(flat(kGradients) + segment.begin, segment.count);
  }
  return sum;
}

void RankState::gather_totals() {
  const Graph& graph = partition_.split().graph;
  local_loss_ = 0;
  for (std::size_t m = 0; m < states_.size(); ++m) {
    const TensorView loss = program_->view(graph.loss, static_cast<int>(m));
    if (loss) local_loss_ += static_cast<double>(*loss.f32());
  }
  totals_.loss = partition_.at.t == 0 ? local_loss_ : 0;
  totals_.square_norm = own_square_norm();
}

Ticket RankState::post_totals() {
  return groups_.world->all_reduce({&totals_, DataType::f64, Shape{sizeof(StepTotals) / sizeof(double)}});
}

void RankState::update() {
  float factor = 1;
  if (optimizer_.clip > 0) {
    factor = static_cast<float>(std::min(1.0, optimizer_.clip / (std::sqrt(totals_.square_norm) + 1e-6)));
  }
  for (const Segment& segment : partition_.layout.segments) {
    float* weights = flat(kParameters) + segment.begin;
    const float* gradients = flat(kGradients) + segment.begin;
    const double decay = segment.decays ? decay_of(optimizer_) : 0.0;
    if (optimizer_.kind == OptimizerKind::sgd) {
      float* velocity = optimizer_.momentum != 0 ? flat(kMoment1) + segment.begin : nullptr;
      cpu::sgd(weights, velocity, gradients, segment.count,
               {step_rate_, optimizer_.momentum, decay, optimizer_.nesterov, factor});
      continue;
    }
    const AdamStep step{step_rate_,         optimizer_.beta1, optimizer_.beta2, optimizer_.epsilon, decay, correction1_,
                        correction2_, factor};
    const auto adam = optimizer_.kind == OptimizerKind::adam ? cpu::adam : cpu::adamw;
    adam(weights, flat(kMoment1) + segment.begin, flat(kMoment2) + segment.begin, gradients, segment.count, step);
  }
}

std::int64_t RankState::planned_bytes() const {
  return flat_.size() + program_->arena_bytes() + program_->fixed_bytes();
}

std::int64_t RankState::used_bytes() const { return flat_.size() + program_->touched_bytes(); }

std::int64_t RankState::num_parameters() const {
  std::int64_t count = 0;
  for (const Segment& segment : partition_.layout.segments) count += segment.count;
  return count;
}

std::string RankState::describe(const Task& task) const {
  const Graph& graph = partition_.split().graph;
  std::string what(name_of(task.kind));
  std::string shape;
  if (task.node != kNone) {
    what = graph.node(task.node).name;
    shape = graph.shape(graph.node(task.node).outputs[0]).to_string();
  } else if (task.value != kNone) {
    what += " of " + graph.value(task.value).name;
    shape = graph.shape(task.value).to_string();
  }
  return fmt::format("rank {}, task {}, {}{}{}", partition_.rank, task.id.to_string(), what, shape.empty() ? "" : " ", shape);
}

}  // namespace dml
