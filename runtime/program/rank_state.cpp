#include "runtime/program/rank_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <thread>

#include "kernels/error.h"
#include "models/op.h"
#include "runtime/checkpoint/stop_request.h"

namespace dml {
namespace {

// Places in the sums of a step; those from kLoss on are summed over all ranks.
constexpr std::size_t kOwnStop = 0;  // set by the host, the others by the device
constexpr std::size_t kOwnLoss = 1;
constexpr std::size_t kLoss = 2;
constexpr std::size_t kCorrect = 3;
constexpr std::size_t kStops = 4;
constexpr std::size_t kParameters = 5;

/// Between two looks at a recorded step.
constexpr auto kPause = std::chrono::microseconds(20);

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

RankState::RankState(const Partition& partition, const OptimizerConfig& optimizer, Communicator& world, Device& device,
                     const CommOptions& options)
    : device_(device), optimizer_(optimizer), deadline_(options.deadline), stride_(partition.layout.size) {
  training_.partition = &partition;
  make_groups(world, options);
  flat_ = Arena(device, flat_bytes(partition, optimizer));
  device_.fill(flat_.data(), 0, static_cast<std::size_t>(flat_bytes(partition, optimizer)));
  load_parameters();
  totals_.resize(num_sums());
  sums_ = Arena(device, static_cast<std::int64_t>(totals_.size() * sizeof(double)));
  device_.fill(sums(), 0, totals_.size() * sizeof(double));
  compile(training_, partition);
}

RankState::~RankState() {
  // Giving memory back waits for the device, which would wait for ever for what others do not do any more.
  const auto is_in_step = [](const Pass& pass) { return pass.executor && pass.executor->is_in_step(); };
  if (is_in_step(training_) || is_in_step(validation_)) groups_.devices->withdraw();
}

void RankState::add_validation(const Partition& partition) { compile(validation_, partition); }

void RankState::compile(Pass& pass, const Partition& partition) {
  pass.partition = &partition;
  const std::size_t microbatches = partition.sizes.size();
  pass.states = Arena(device_, static_cast<std::int64_t>(microbatches * sizeof(StepState)));
  device_.write(pass.states.data(), microbatches * sizeof(StepState), [&](void* host) {
    StepState state;
    state.trains = !partition.forward_only;
    std::fill_n(static_cast<StepState*>(host), microbatches, state);
  });
  for (std::size_t m = 0; m < microbatches; ++m) {
    pass.contexts.push_back({states(pass) + m, partition.first_samples[m]});
  }
  const StepEnd end{[this, &pass] { gather_totals(pass); }, [this] { return post_totals(); }, [this] { update(); }};
  const RankBuffers buffers{flat(FlatBuffer::parameters), flat(FlatBuffer::gradients)};
  pass.program = std::make_unique<Program>(ProgramInputs{inputs_of(partition, partition.tasks), device_, pass.contexts,
                                                         partition.place(), groups_, buffers, end});
  pass.executor = std::make_unique<Executor>(device_, *pass.program, partition.tasks,
                                             [this](const Task& task) { return describe(task); });
}

float* RankState::flat(FlatBuffer buffer) const {
  return reinterpret_cast<float*>(flat_.data()) + stride_ * static_cast<std::int64_t>(buffer);
}

std::size_t RankState::num_sums() const { return kParameters + partition().split().graph.gradient_of.size(); }

void RankState::make_groups(Communicator& world, const CommOptions& options) {
  device_world_ = device_.make_world(world, options);
  groups_.world = &world;
  groups_.devices = device_world_ ? device_world_.get() : &world;
  const Mesh& mesh = partition().mesh;
  const int rank = partition().rank;
  if (mesh.d() > 1) groups_.data = groups_.devices->split(mesh.group_color(rank, Axis::data), rank);
  if (mesh.t() > 1) groups_.tensor = groups_.devices->split(mesh.group_color(rank, Axis::tensor), rank);
  for (const std::vector<int>& stages : partition().tied_groups()) {
    const bool member = std::any_of(stages.begin(), stages.end(), [&](int stage) {
      return partition().placement.position(stage) == partition().at.p;
    });
    // Who is not in a group of this tie makes a group of its own, which is dropped.
    const int color = member ? mesh.group_color(rank, Axis::pipeline) : mesh.world_size() + rank;
    auto group = groups_.devices->split(color, rank);
    if (member) groups_.tied[stages] = std::move(group);
  }
  if (device_world_) make_channels();
}

/// Devices move a group's messages one after the other, each when both sides are there. Channels, whose orders differ
/// between ranks, are groups of their own for that: of the two ranks that talk on it in each replica and tensor part.
void RankState::make_channels() {
  const Mesh& mesh = partition().mesh;
  const int rank = partition().rank;
  const Placement& placement = partition().placement;
  for (int stage = 0; stage + 1 < placement.num_stages(); ++stage) {
    if (placement.position(stage) == placement.position(stage + 1)) continue;
    for (const bool forward : {true, false}) {
      const int from = forward ? stage : stage + 1;
      const int sender = placement.position(from);
      const int receiver = placement.position(forward ? stage + 1 : stage);
      const bool member = partition().at.p == sender || partition().at.p == receiver;
      const int color = member ? mesh.group_color(rank, Axis::pipeline) : mesh.world_size() + rank;
      auto group = groups_.devices->split(color, partition().at.p == sender ? 0 : 1);
      if (member) groups_.channels[2 * from + (forward ? 0 : 1)] = std::move(group);
    }
  }
}

void RankState::load_parameters() {
  const TensorPlace place = partition().place();
  for (const Segment& segment : partition().layout.segments) {
    const Value& value = partition().split().graph.value(segment.value);
    device_.write(flat(FlatBuffer::parameters) + segment.begin, static_cast<std::size_t>(segment.count) * sizeof(float),
                  [&](void* host) { read_shard(static_cast<float*>(host), *value.source, segment.spec, place); });
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
  StepState state;
  state.step = step;
  state.seed = seed;
  state.learning_rate = learning_rate;
  state.bias_correction1 = 1 - std::pow(optimizer_.beta1, static_cast<double>(step + 1));
  state.bias_correction2 = 1 - std::pow(optimizer_.beta2, static_cast<double>(step + 1));
  load(training_, data, state, batch);
}

void RankState::load(Pass& pass, const Dataset& data, StepState state, std::int64_t batch) {
  const Partition& partition = *pass.partition;
  const Graph& graph = partition.split().graph;
  ids_.resize(static_cast<std::size_t>(batch));
  data.batch_ids(state.step, batch, ids_);
  state.trains = !partition.forward_only;
  const std::size_t microbatches = pass.contexts.size();
  auto* of_microbatch =
      static_cast<StepState*>(device_.host_side(pass.states.data(), microbatches * sizeof(StepState)));
  for (std::size_t m = 0; m < microbatches; ++m) {
    state.loss_scale = static_cast<float>(loss_scale(graph, data, ids_, partition.sizes[m]));
    of_microbatch[m] = state;
    const std::span<const std::int64_t> samples(ids_.data() + partition.first_samples[m],
                                                static_cast<std::size_t>(partition.sizes[m]));
    for (std::size_t i = 0; i <= graph.inputs.size(); ++i) {
      const ValueId id = i < graph.inputs.size() ? graph.inputs[i] : graph.label;
      const TensorView place = id == kNone ? TensorView{} : pass.program->view(id, static_cast<int>(m));
      if (!place) continue;
      data.read(samples, static_cast<int>(i), device_.host_side(place.data, place.num_bytes()));
      device_.publish(place.data);
    }
  }
  device_.publish(pass.states.data());
  note_stop();
}

void RankState::note_stop() {
  *static_cast<double*>(device_.host_side(sums() + kOwnStop, sizeof(double))) = stop_requested() != 0 ? 1 : 0;
  device_.publish(sums() + kOwnStop);
}

template <typename Run>
void RankState::put_step(const Run& run) {
  // The gradient of a weight that is shared with another stage, and all of whose addends are computed there.
  for (std::size_t i = 0; i < computed_.size(); ++i) {
    const Segment& segment = partition().layout.segments[i];
    if (computed_[i]) continue;
    device_.fill(flat(FlatBuffer::gradients) + segment.begin, 0,
                 static_cast<std::size_t>(segment.count) * sizeof(float));
  }
  run();
}

void RankState::run_step(bool is_timed) {
  if (recording_ && !is_timed) {
    executor().replay(*recording_);
  } else {
    put_step([this] { executor().run(); });
  }
  end_step(executor());
}

void RankState::record_step() {
  recording_ = device_.record([this] { put_step([this] { executor().record_run(); }); });
}

void RankState::finish_step() {
  if (executor().next_is_replayed() && groups_.devices->size() > 1) watch();
  finish_step(executor());
}

void RankState::finish_step(Executor& executor) {
  const auto* results = static_cast<const double*>(executor.finish_step());
  std::copy_n(results, totals_.size(), totals_.begin());
}

void RankState::watch() {
  const auto begin = Clock::now();
  while (!device_.is_step_done()) {
    groups_.devices->progress();
    if (Clock::now() - begin > deadline_) {
      const std::string text = fmt::format("rank {} waited {:g} s for a step that is replayed", partition().rank,
                                           std::chrono::duration<double>(deadline_).count());
      groups_.devices->fail(text);
      throw TimeoutError(text);
    }
    std::this_thread::sleep_for(kPause);
  }
}

StepTotals RankState::validate(const Dataset& data, std::int64_t index, std::int64_t batch) {
  for (const auto& [id, view] : validation_.program->states()) {
    const TensorView trained = training_.program->states().at(id);
    device_.copy(view.data, trained.data, view.num_bytes());
  }
  StepState state;
  state.step = index;
  validation_.executor->begin_step();
  load(validation_, data, state, batch);
  validation_.executor->run();
  end_step(*validation_.executor);
  finish_step(*validation_.executor);
  return totals();
}

StepTotals RankState::totals() const {
  return {totals_[kLoss], std::accumulate(totals_.begin() + kParameters, totals_.end(), 0.0), totals_[kStops] > 0,
          totals_[kCorrect]};
}

double RankState::local_loss() const { return totals_[kOwnLoss]; }

void RankState::sum_squares() {
  const auto& gradient_of = partition().split().graph.gradient_of;
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    if (!owned_[i]) continue;
    const Segment& segment = partition().layout.segments[i];
    const auto number = std::distance(gradient_of.begin(), gradient_of.find(segment.value));
    device_.sum_of_squares(sums() + kParameters + number, flat(FlatBuffer::gradients) + segment.begin, segment.count);
  }
}

void RankState::gather_totals(const Pass& pass) {
  const Partition& partition = *pass.partition;
  if (device_.shares_host_memory()) note_stop();  // what came while the step ran
  device_.fill(sums() + kOwnLoss, 0, (totals_.size() - kOwnLoss) * sizeof(double));
  device_.copy(sums() + kStops, sums() + kOwnStop, sizeof(double));
  for (int m = 0; m < static_cast<int>(pass.contexts.size()); ++m) {
    const TensorView loss = pass.program->view(partition.split().graph.loss, m);
    if (loss) device_.add_scalar(sums() + kOwnLoss, loss.f32());
  }
  if (partition.at.t == 0) {
    device_.copy(sums() + kLoss, sums() + kOwnLoss, sizeof(double));
    if (partition.keeps_output) count_correct(pass);
  }
  if (&pass == &training_) sum_squares();
}

/// Where the output is [samples, classes] logits and each sample has one label.
void RankState::count_correct(const Pass& pass) {
  const Graph& graph = pass.partition->split().graph;
  for (int m = 0; m < static_cast<int>(pass.contexts.size()); ++m) {
    const TensorView logits = pass.program->view(graph.output, m);
    const TensorView labels = graph.label == kNone ? TensorView{} : pass.program->view(graph.label, m);
    if (!logits || !labels || logits.shape.rank() != 2 || labels.dtype != DataType::i64) continue;
    device_.count_correct(sums() + kCorrect, logits.f32(), labels.as<std::int64_t>(), logits.shape[0], logits.shape[1]);
  }
}

Ticket RankState::post_totals() {
  const auto count = static_cast<std::int64_t>(totals_.size() - kLoss);
  return groups_.devices->all_reduce({sums() + kLoss, DataType::f64, Shape{count}});
}

void RankState::update() {
  StepState* state = states(training_);
  if (optimizer_.clip > 0) {
    device_.clip(state, sums() + kParameters, static_cast<std::int64_t>(totals_.size() - kParameters), optimizer_.clip);
  }
  for (const Segment& segment : partition().layout.segments) {
    const auto part_of = [&](FlatBuffer buffer) { return flat(buffer) + segment.begin; };
    const int moments = num_moments();
    device_.update({part_of(FlatBuffer::parameters), moments > 0 ? part_of(FlatBuffer::moment1) : nullptr,
                    moments > 1 ? part_of(FlatBuffer::moment2) : nullptr, part_of(FlatBuffer::gradients), segment.count,
                    segment.decays ? decay_of(optimizer_) : 0.0},
                   optimizer_, state);
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
