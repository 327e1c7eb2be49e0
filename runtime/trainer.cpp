#include "runtime/trainer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "kernels/error.h"
#include "kernels/isa.h"
#include "models/op.h"
#include "models/optimizer.h"
#include "models/trainable.h"
#include "parallel/partition.h"
#include "parallel/pipeline/cut.h"
#include "runtime/dump.h"
#include "runtime/model_source.h"
#include "runtime/rank_report.h"
#include "runtime/rank_state.h"

namespace dml {
namespace {

const char* name_of(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::sgd: return "sgd";
    case OptimizerKind::adam: return "adam";
    case OptimizerKind::adamw: return "adamw";
  }
  return "?";
}

const char* name_of(RateSchedule schedule) {
  switch (schedule) {
    case RateSchedule::constant: return "constant";
    case RateSchedule::cosine: return "cosine";
    case RateSchedule::linear: return "linear";
  }
  return "?";
}

std::int64_t batch_of(const Config& config, const Dataset& data) {
  if (!data.is_given_batches()) return config.data.batch > 0 ? config.data.batch : 16;
  if (config.data.batch > 0 && config.data.batch != data.given_batch_size()) {
    throw ModelError(fmt::format("--batch {}: the data holds given batches of {} samples", config.data.batch,
                                 data.given_batch_size()));
  }
  return data.given_batch_size();
}

int microbatches_of(const LayoutConfig& layout, std::int64_t batch) {
  if (layout.microbatches > 0) return layout.microbatches;
  if (layout.p == 1) return 1;
  return static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(2 * layout.p, batch / layout.d)));
}

std::int64_t steps_of(const Config& config, const Dataset& data, std::int64_t batch) {
  if (config.steps > 0) return config.steps;
  const double epochs = config.epochs > 0 ? config.epochs : 1;
  const double steps = epochs * static_cast<double>(data.num_samples()) / static_cast<double>(batch);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
}

PartitionOptions partition_options(const Config& config, std::int64_t batch) {
  const LayoutConfig& layout = config.layout;
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.batch = batch;
  options.microbatches = microbatches_of(layout, batch);
  options.tensor_auto = layout.tensor_mode == TensorMode::automatic;
  options.tensor_mode = layout.tensor_mode == TensorMode::gather ? SplitMode::gather : SplitMode::megatron;
  options.cut = layout.cut;
  options.bucket_bytes = layout.bucket_bytes;
  options.clips = config.optimizer.clip > 0;
  options.needs_output = !config.dump.empty();
  options.decays = [globs = config.optimizer.no_decay](const std::string& name) {
    return std::none_of(globs.begin(), globs.end(), [&](const std::string& glob) { return matches_glob(glob, name); });
  };
  return options;
}

/// Makes sure that all ranks got through `prepare`, or that none goes on.
void agree(Communicator& world, const std::function<void()>& prepare) {
  std::exception_ptr failure;
  try {
    prepare();
  } catch (...) {
    failure = std::current_exception();
  }
  std::int64_t failed = failure ? 1 : 0;
  world.wait(world.all_reduce({&failed, DataType::i64, Shape{1}}));
  if (failure) std::rethrow_exception(failure);
  if (failed > 0) throw CommError(fmt::format("{} other ranks cannot start", failed));
}

class Trainer {
 public:
  Trainer(const Config& config, Communicator& world, RunObserver* observer)
      : config_(config), world_(world), observer_(observer) {}

  void run() {
    agree(world_, [&] { prepare(); });
    state_ = std::make_unique<RankState>(*partition_, config_.optimizer, world_);
    RankReporter reporter(*state_, world_, observer_);
    reporter.started(run_plan());
    Dump dump(config_.dump);
    std::vector<double> losses;
    for (std::int64_t step = 0; step < num_steps_; ++step) {
      run_step(step);
      losses.push_back(state_->totals().loss);
      reporter.stepped(step_record(step));
      if (step == 0 && !config_.dump.empty()) dump.first_step(*state_);
    }
    if (!config_.dump.empty()) dump.finish(*state_, name_of(config_.optimizer.kind), losses);
    if (!config_.save.empty()) save();
    reporter.finished("");
  }

 private:
  void prepare() {
    model_ = std::make_unique<ModelSource>(config_.model, config_.seed);
    data_ = open_dataset(config_.data, model_->data_inputs(), config_.seed);
    model_->set_data(*data_);
    batch_ = batch_of(config_, *data_);
    num_steps_ = steps_of(config_, *data_, batch_);
    const Mesh mesh(config_.layout.d, config_.layout.p, config_.layout.t, config_.layout.order);
    partition_ = std::make_unique<Partition>(
        make_partition([&](std::int64_t samples) { return model_->graph(samples, true); }, mesh, world_.rank(),
                       partition_options(config_, batch_)));
    flops_per_step_ = 0;
    for (const Node& node : partition_->whole.nodes()) flops_per_step_ += cost_of(partition_->whole, node).flops;
    const std::int64_t largest = *std::max_element(partition_->sizes.begin(), partition_->sizes.end());
    flops_per_step_ *= static_cast<double>(batch_) / static_cast<double>(largest);
  }

  double rate(std::int64_t step) const {
    const OptimizerConfig& o = config_.optimizer;
    return learning_rate(name_of(o.schedule), o.learning_rate, o.min_learning_rate, o.warmup_steps, num_steps_, step);
  }

  void run_step(std::int64_t step) {
    state_->executor().begin_step();
    state_->load(*data_, step, batch_, rate(step), config_.seed);
    state_->run_step();
    state_->executor().end_step();
    if (std::isfinite(state_->totals().loss)) return;
    if (!std::isfinite(state_->local_loss())) {
      throw NotFiniteError(fmt::format("the loss is {} at step {} on rank {}: try a smaller --lr, or --clip 1",
                                       state_->local_loss(), step, world_.rank()));
    }
    throw NotFiniteError(fmt::format("the loss is {} at step {}: try a smaller --lr, or --clip 1", state_->totals().loss, step));
  }

  StepRecord step_record(std::int64_t step) const {
    StepRecord record;
    record.step = step;
    record.num_steps = num_steps_;
    record.loss = state_->totals().loss;
    record.grad_norm = std::sqrt(state_->totals().square_norm);
    record.learning_rate = rate(step);
    record.samples_per_s = static_cast<double>(batch_);  // by the reporter divided by the time of the step
    record.tokens_per_s = static_cast<double>(batch_ * data_->tokens_per_sample());
    record.flops_per_s = flops_per_step_;
    return record;
  }

  RunPlan run_plan() const {
    RunPlan plan;
    plan.model = model_->name();
    for (const auto& [parameter, gradient] : partition_->whole.gradient_of) {
      plan.parameters += partition_->whole.shape(parameter).num_elements();
    }
    plan.flops_per_step = flops_per_step_;
    plan.data = data_->description();
    plan.batch = batch_;
    plan.microbatches = static_cast<std::int64_t>(partition_->sizes.size());
    plan.num_steps = num_steps_;
    plan.d = partition_->mesh.d();
    plan.p = partition_->mesh.p();
    plan.t = partition_->mesh.t();
    plan.schedule = config_.layout.schedule;
    plan.tensor_mode = partition_->mode == SplitMode::gather ? "gather" : "megatron";
    plan.backend = world_.backend();
    plan.threads_per_rank = config_.threads;
    plan.instruction_set = name_of_isa();
    plan.notes = model_->notes();
    plan.notes.insert(plan.notes.end(), partition_->notes.begin(), partition_->notes.end());
    return plan;
  }

  static std::string name_of_isa() { return std::string(dml::name_of(active_isa())); }

  void save() {
    std::map<std::string, std::vector<float>> trained;
    const TensorSink keep = [&](const GatheredTensor& tensor) { trained[tensor.name] = tensor.elements; };
    gather_tensors(*state_, Gathered::parameters, keep);
    gather_states(*state_, keep);
    if (world_.rank() != 0) return;
    const WeightLookup lookup = [&](const std::string& name) -> std::optional<std::vector<float>> {
      const auto found = trained.find(name);
      if (found == trained.end()) return std::nullopt;
      return found->second;
    };
    model_->file().save(config_.save, lookup, model_->build_options());
  }

  const Config& config_;
  Communicator& world_;
  RunObserver* observer_;
  std::unique_ptr<ModelSource> model_;
  std::unique_ptr<Dataset> data_;
  std::unique_ptr<Partition> partition_;
  std::unique_ptr<RankState> state_;
  std::int64_t batch_ = 0;
  std::int64_t num_steps_ = 0;
  double flops_per_step_ = 0;
};

}  // namespace

void train(const Config& config, Communicator& world, RunObserver* observer) { Trainer(config, world, observer).run(); }

}  // namespace dml
