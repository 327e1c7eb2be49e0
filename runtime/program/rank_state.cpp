#include "runtime/program/rank_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>

#include "kernels/error.h"
#include "kernels/optimizer.h"
#include "models/op.h"
#include "runtime/checkpoint/stop_request.h"

namespace dml {
namespace {

/// Where the parameters' square norms begin in the sums of a step.
constexpr std::ptrdiff_t kParameterSums = 3;

/// Parameters, gradients and the optimizer's states.
int num_flat_buffers(const OptimizerConfig& optimizer) { return 2 + optimizer.num_states(); }

/// The factor of every counted target of a microbatch: one over the targets of the global batch, or the microbatch's
/// part of the samples where the graph computes a mean itself.
double loss_scale(const Graph& graph, const Dataset& data, std::span<const std::int64_t> ids, std::int64_t samples) {
  const auto batch = static_cast<double>(ids.size());
  if (graph.label == kNone) return static_cast<double>(samples) / batch;
  const Value& label = graph.value(graph.label);
  if (label.dtype == DataType::f32) {
    return static_cast<double>(label.shape[0]) / static_cast<double>(label.shape.num_elements()) / batch;
  }
  return 1.0 / static_cast<double>(std::max<std::int64_t>(1, data.counted_targets(ids)));
}

double decay_of(const OptimizerConfig& optimizer) {
  return optimizer.weight_decay.value_or(optimizer.kind == OptimizerKind::adamw ? 0.01 : 0.0);
}

}  // namespace

std::int64_t flat_bytes(const Partition& partition, const OptimizerConfig& optimizer) {
  return partition.layout.size * num_flat_buffers(optimizer) * static_cast<std::int64_t>(sizeof(float));
}

RankState::RankState(const Partition& partition, const OptimizerConfig& optimizer, Communicator& world)
    : optimizer_(optimizer), stride_(partition.layout.size) {
  training_.partition = &partition;
  make_groups(world);
  flat_ = Arena(flat_bytes(partition, optimizer));
  if (stride_ > 0) std::fill_n(flat(FlatBuffer::parameters), stride_ * num_flat_buffers(optimizer), 0.0F);
  load_parameters();
  sums_.resize(kParameterSums + partition.split().graph.gradient_of.size());
  compile(training_, partition);
}

void RankState::add_validation(const Partition& partition) { compile(validation_, partition); }

void RankState::compile(Pass& pass, const Partition& partition) {
  pass.partition = &partition;
  pass.states.resize(partition.sizes.size());
  for (StepState& state : pass.states) state.trains = !partition.forward_only;
  for (std::size_t m = 0; m < pass.states.size(); ++m) {
    pass.contexts.push_back({&pass.states[m], partition.first_samples[m]});
  }
  const StepEnd end{[this, &pass] { gather_totals(pass); }, [this] { return post_totals(); }, [this] { update(); }};
  const RankBuffers buffers{flat(FlatBuffer::parameters), flat(FlatBuffer::gradients)};
  pass.program = std::make_unique<Program>(ProgramInputs{
      partition.tasks, *partition.map, partition.layout, partition.by_microbatch, partition.stages,
      partition.own_stages, pass.contexts, partition.place(), groups_, buffers, end, partition.keeps_output});
  pass.executor =
      std::make_unique<Executor>(*pass.program, partition.tasks, [this](const Task& task) { return describe(task); });
}

float* RankState::flat(FlatBuffer buffer) const {
  return reinterpret_cast<float*>(flat_.data()) + stride_ * static_cast<std::int64_t>(buffer);
}

void RankState::make_groups(Communicator& world) {
  groups_.world = &world;
  const Mesh& mesh = partition().mesh;
  const int rank = partition().rank;
  if (mesh.d() > 1) groups_.data = world.split(mesh.group_color(rank, Axis::data), rank);
  if (mesh.t() > 1) groups_.tensor = world.split(mesh.group_color(rank, Axis::tensor), rank);
  for (const std::vector<int>& stages : partition().tied_groups()) {
    const bool member = std::any_of(stages.begin(), stages.end(), [&](int stage) {
      return partition().placement.position(stage) == partition().at.p;
    });
    // Who is not in a group of this tie makes a group of its own, which is dropped.
    const int color = member ? mesh.group_color(rank, Axis::pipeline) : mesh.world_size() + rank;
    auto group = world.split(color, rank);
    if (member) groups_.tied[stages] = std::move(group);
  }
}

void RankState::load_parameters() {
  const TensorPlace place = partition().place();
  for (const Segment& segment : partition().layout.segments) {
    const Value& value = partition().split().graph.value(segment.value);
    read_shard(flat(FlatBuffer::parameters) + segment.begin, *value.source, segment.spec, place);
    // The norm counts each element once: by replica 0, the first stage of a tie, and rank 0 of what is not divided.
    const int speaker = partition().placement.position(segment.tied_stages.front());
    owned_.push_back(partition().at.d == 0 && partition().at.p == speaker &&
                     (segment.spec.sharding.is_shard() || partition().at.t == 0));
    const std::vector<ValueId>& addends = partition().map->addends(segment.value);
    computed_.push_back(std::any_of(addends.begin(), addends.end(), [&](ValueId addend) {
      const NodeId producer = partition().split().graph.value(addend).producer;
      return partition().placement.position(partition().stages[static_cast<std::size_t>(producer)]) == partition().at.p;
    }));
  }
}

void RankState::load(const Dataset& data, std::int64_t step, std::int64_t batch, double learning_rate,
                     std::uint64_t seed) {
  step_rate_ = learning_rate;
  correction1_ = 1 - std::pow(optimizer_.beta1, static_cast<double>(step + 1));
  correction2_ = 1 - std::pow(optimizer_.beta2, static_cast<double>(step + 1));
  load(training_, data, step, batch, seed);
}

void RankState::load(Pass& pass, const Dataset& data, std::int64_t step, std::int64_t batch, std::uint64_t seed) {
  const Partition& partition = *pass.partition;
  const Graph& graph = partition.split().graph;
  ids_.resize(static_cast<std::size_t>(batch));
  data.batch_ids(step, batch, ids_);
  for (std::size_t m = 0; m < pass.states.size(); ++m) {
    pass.states[m].step = step;
    pass.states[m].seed = seed;
    pass.states[m].loss_scale = static_cast<float>(loss_scale(graph, data, ids_, partition.sizes[m]));
    const std::span<const std::int64_t> samples(ids_.data() + partition.first_samples[m],
                                                static_cast<std::size_t>(partition.sizes[m]));
    for (std::size_t i = 0; i <= graph.inputs.size(); ++i) {
      const ValueId id = i < graph.inputs.size() ? graph.inputs[i] : graph.label;
      const TensorView place = id == kNone ? TensorView{} : pass.program->view(id, static_cast<int>(m));
      if (place) data.read(samples, static_cast<int>(i), place.data);
    }
  }
}

void RankState::run_step() {
  // The gradient of a weight that is shared with another stage, and all of whose addends are computed there.
  for (std::size_t i = 0; i < computed_.size(); ++i) {
    const Segment& segment = partition().layout.segments[i];
    if (!computed_[i]) std::fill_n(flat(FlatBuffer::gradients) + segment.begin, segment.count, 0.0F);
  }
  executor().run();
}

StepTotals RankState::validate(const Dataset& data, std::int64_t index, std::int64_t batch) {
  for (const auto& [id, view] : validation_.program->states()) {
    const TensorView trained = training_.program->states().at(id);
    std::memcpy(view.data, trained.data, view.num_bytes());
  }
  load(validation_, data, index, batch, 0);
  validation_.executor->begin_step();
  validation_.executor->run();
  validation_.executor->end_step();
  return totals();
}

StepTotals RankState::totals() const {
  return {sums_[0], std::accumulate(sums_.begin() + kParameterSums, sums_.end(), 0.0), sums_[2] > 0, sums_[1]};
}

void RankState::sum_squares() {
  const auto& gradient_of = partition().split().graph.gradient_of;
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    if (!owned_[i]) continue;
    const Segment& segment = partition().layout.segments[i];
    const auto number = std::distance(gradient_of.begin(), gradient_of.find(segment.value));
    sums_[static_cast<std::size_t>(kParameterSums + number)] =
        cpu::sum_of_squares(flat(FlatBuffer::gradients) + segment.begin, segment.count);
  }
}

void RankState::gather_totals(const Pass& pass) {
  const Partition& partition = *pass.partition;
  local_loss_ = 0;
  for (std::size_t m = 0; m < pass.states.size(); ++m) {
    const TensorView loss = pass.program->view(partition.split().graph.loss, static_cast<int>(m));
    if (loss) local_loss_ += static_cast<double>(*loss.f32());
  }
  const bool speaks = partition.at.t == 0;
  std::fill(sums_.begin(), sums_.end(), 0.0);
  sums_[0] = speaks ? local_loss_ : 0;
  sums_[2] = stop_requested() != 0 ? 1 : 0;
  sums_[1] = speaks && partition.keeps_output ? static_cast<double>(count_correct(pass)) : 0;
  if (&pass == &training_) sum_squares();
}

/// Rows of [samples, classes] logits whose largest entry is the label's; 0 where the output is something else.
std::int64_t RankState::count_correct(const Pass& pass) const {
  const Graph& graph = pass.partition->split().graph;
  std::int64_t correct = 0;
  for (int m = 0; m < static_cast<int>(pass.states.size()); ++m) {
    const TensorView logits = pass.program->view(graph.output, m);
    const TensorView labels = graph.label == kNone ? TensorView{} : pass.program->view(graph.label, m);
    if (!logits || !labels || logits.shape.rank() != 2 || labels.dtype != DataType::i64) continue;
    const std::int64_t classes = logits.shape[1];
    for (std::int64_t row = 0; row < logits.shape[0]; ++row) {
      const float* of_row = logits.f32() + row * classes;
      correct += std::max_element(of_row, of_row + classes) - of_row == labels.as<std::int64_t>()[row] ? 1 : 0;
    }
  }
  return correct;
}

Ticket RankState::post_totals() {
  return groups_.world->all_reduce({sums_.data(), DataType::f64, Shape{static_cast<std::int64_t>(sums_.size())}});
}

void RankState::update() {
  float factor = 1;
  if (optimizer_.clip > 0) {
    factor = static_cast<float>(std::min(1.0, optimizer_.clip / (std::sqrt(totals().square_norm) + 1e-6)));
  }
  for (const Segment& segment : partition().layout.segments) {
    float* weights = flat(FlatBuffer::parameters) + segment.begin;
    const float* gradients = flat(FlatBuffer::gradients) + segment.begin;
    const double decay = segment.decays ? decay_of(optimizer_) : 0.0;
    if (optimizer_.kind == OptimizerKind::sgd) {
      float* velocity = optimizer_.momentum != 0 ? flat(FlatBuffer::moment1) + segment.begin : nullptr;
      cpu::sgd(weights, velocity, gradients, segment.count,
               {step_rate_, optimizer_.momentum, decay, optimizer_.nesterov, factor});
      continue;
    }
    const AdamStep step{step_rate_, optimizer_.beta1, optimizer_.beta2, optimizer_.epsilon,
                        decay,      correction1_,     correction2_,     factor};
    const auto adam = optimizer_.kind == OptimizerKind::adam ? cpu::adam : cpu::adamw;
    adam(weights, flat(FlatBuffer::moment1) + segment.begin, flat(FlatBuffer::moment2) + segment.begin, gradients,
         segment.count, step);
  }
}

std::int64_t RankState::unused_bytes() const { return training_.program->arena_bytes(); }

std::int64_t RankState::planned_bytes() const {
  return flat_.size() + training_.program->arena_bytes() + training_.program->fixed_bytes();
}

std::int64_t RankState::used_bytes() const { return flat_.size() + training_.program->touched_bytes(); }

std::int64_t RankState::num_parameters() const {
  std::int64_t count = 0;
  for (const Segment& segment : partition().layout.segments) count += segment.count;
  return count;
}

std::string RankState::describe(const Task& task) const {
  const Graph& graph = partition().split().graph;
  std::string what(name_of(task.kind));
  std::string shape;
  if (task.node != kNone) {
    what = graph.node(task.node).name;
    shape = graph.shape(graph.node(task.node).outputs[0]).to_string();
  } else if (task.value != kNone) {
    what += " of " + graph.value(task.value).name;
    shape = graph.shape(task.value).to_string();
  }
  return fmt::format("rank {}, task {}, {}{}{}", partition().rank, task.id.to_string(), what, shape.empty() ? "" : " ",
                     shape);
}

}  // namespace dml
