#include "runtime/trainer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "kernels/error.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "models/optimizer.h"
#include "models/trainable.h"
#include "parallel/partition.h"
#include "parallel/verify/verify.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/device/choose_device.h"
#include "runtime/model/dump.h"
#include "runtime/model/model_source.h"
#include "runtime/model/partition_options.h"
#include "runtime/model/shards.h"
#include "runtime/program/host_memory.h"
#include "runtime/program/rank_state.h"
#include "runtime/rank_report.h"
#include "runtime/sampler.h"

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

std::string describe(const ShapedLink& link) {
  return fmt::format("messages {} are made slower: by {:g} us, and as by {:g} Gbit/s",
                     link.axis == 0 ? std::string("between hosts") : fmt::format("along {}", link.axis),
                     link.latency_us, link.gbit_per_s);
}

std::int64_t batch_of(const Config& config, const Dataset& data) {
  if (!data.is_given_batches()) return config.data.batch > 0 ? config.data.batch : 16;
  if (config.data.batch > 0 && config.data.batch != data.given_batch_size()) {
    throw ModelError(fmt::format("--batch {}: the data holds given batches of {} samples", config.data.batch,
                                 data.given_batch_size()));
  }
  return data.given_batch_size();
}

std::int64_t steps_of(const Config& config, const Dataset& data, std::int64_t batch) {
  if (config.steps > 0) return config.steps;
  const double epochs = config.epochs > 0 ? config.epochs : 1;
  const double steps = epochs * static_cast<double>(data.num_samples()) / static_cast<double>(batch);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
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
  // A rank that failed does not come to this barrier: it ends the run, and its reason is told first.
  if (failed > 0) world.wait(world.barrier());
}

constexpr int kSampleBytes = 160;

/// What the cores of all ranks do together, measured: products of 512x512 matrices for about 30 ms on every rank at
/// once.
double peak_flops(Communicator& world) {
  constexpr std::int64_t kSide = 512;
  constexpr double kSeconds = 0.03;
  std::vector<float> memory(3 * kSide * kSide, 1.0F);
  const auto view = [&](std::int64_t i) {
    return TensorView{memory.data() + i * kSide * kSide, DataType::f32, Shape{kSide, kSide}};
  };
  const auto product = cpu::prepare_matmul(view(0), view(1), view(2), {}, {});
  product();
  world.wait(world.barrier());
  const auto begin = std::chrono::steady_clock::now();
  double seconds = 0;
  double flops = 0;
  while (seconds < kSeconds) {
    product();
    flops += 2.0 * kSide * kSide * kSide;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  double rate = flops / seconds;
  world.wait(world.all_reduce({&rate, DataType::f64, Shape{1}}));
  return rate;
}

class Trainer {
 public:
  Trainer(const Config& config, Communicator& world, RunObserver* observer)
      : config_(config), world_(world), observer_(observer) {}

  TrainOutcome run() {
    agree(world_, [&] { prepare(); });
    agree_on_run();
    device_ = choose_device(config_.device, world_, config_.tf32);
    check_memory(flat_bytes(*partition_, config_.optimizer));
    state_ = std::make_unique<RankState>(*partition_, config_.optimizer, world_, *device_.device, comm_options());
    if (validation_partition_) state_->add_validation(*validation_partition_);
    check_memory(state_->unused_bytes());
    resume();
    peak_ = device().shares_host_memory() ? peak_flops(world_) : 0;
    RankReporter reporter(*state_, world_, observer_);
    reporter.started(run_plan());
    Dump dump(config_.dump);
    run_steps(reporter, dump);
    if (outcome_.stopped) {
      reporter.traced();
      reporter.finished("");
      return outcome_;
    }
    if (!config_.dump.empty()) dump.finish(*state_, name_of(config_.optimizer.kind), losses_);
    if (!config_.save.empty()) save();
    reporter.traced();
    reporter.finished(writes_text_ ? write_text(*whole_, *state_, "And ", kSampleBytes, config_.seed) : "");
    return outcome_;
  }

 private:
  Device& device() { return *device_.device; }

  /// Where a device has memory of its own, each step is put behind the one before, which is finished then: its line
  /// comes, and what it found is acted on, one step late.
  void run_steps(RankReporter& reporter, Dump& dump) {
    const std::int64_t first = outcome_.steps;
    num_finished_ = first;
    for (std::int64_t step = first; step < num_steps_ && !outcome_.stopped; ++step) {
      if (config_.cuda_graph && step == first + 1 && state_->steps_ahead() > 0) {
        finish_steps(reporter, 0);
        record_step();
      }
      start_step(step);
      outcome_.steps = step + 1;
      finish_steps(reporter, needs_all_finished_after(step) ? 0 : state_->steps_ahead());
      if (step == 0 && !config_.dump.empty()) dump.first_step(*state_);
      if (asked_to_stop_) finish_steps(reporter, 0);
      outcome_.stopped = asked_to_stop_ && outcome_.steps < num_steps_;
      if (outcome_.stopped || is_saved_after(outcome_.steps)) checkpoint();
    }
  }

  bool validates_after(std::int64_t step) const { return config_.val_every > 0 && (step + 1) % config_.val_every == 0; }

  bool needs_all_finished_after(std::int64_t step) const {
    return step + 1 == num_steps_ || validates_after(step) || is_saved_after(step + 1) ||
           (step == 0 && !config_.dump.empty());
  }

  /// Finishes steps until only the last `ahead` that were started are not.
  void finish_steps(RankReporter& reporter, int ahead) {
    for (; num_finished_ < outcome_.steps - ahead; ++num_finished_) {
      finish_step(num_finished_);
      losses_.push_back(state_->totals().loss);
      asked_to_stop_ = asked_to_stop_ || state_->totals().stops;
      StepRecord record = step_record(num_finished_);
      if (validates_after(num_finished_)) record.validation_loss = validation_loss();
      reporter.stepped(record);
    }
  }

  /// On all ranks, or on none.
  void record_step() {
    std::string reason;
    try {
      state_->record_step();
    } catch (const DeviceError& error) {
      reason = error.what();
    }
    std::int64_t failed = reason.empty() ? 0 : 1;
    world_.wait(world_.all_reduce({&failed, DataType::i64, Shape{1}}));
    if (failed == 0) return;
    state_->drop_recording();
    if (observer_ == nullptr) return;
    observer_->noted(fmt::format("--cuda-graph: steps are not replayed, {} of {} ranks could not record one{}", failed,
                                 world_.size(), reason.empty() ? "" : ": " + reason));
  }

  /// A device with memory of its own says itself what it lacks, when it is asked for.
  void check_memory(std::int64_t bytes) {
    if (device().shares_host_memory()) agree(world_, [&] { check_host_memory(world_, bytes); });
  }

  CommOptions comm_options() const {
    constexpr double kMilli = 1e3;
    return {.deadline = std::chrono::milliseconds(static_cast<std::int64_t>(config_.deadline_s * kMilli)),
            .gather_parts = config_.gather_parts};
  }

  void open_model() {
    if (!config_.model.shards.empty()) {
      model_ = open_shard(config_, world_.rank());
      return;
    }
    auto whole = std::make_unique<ModelSource>(config_.model, config_.seed);
    whole_ = whole.get();
    model_ = std::move(whole);
  }

  void prepare() {
    open_model();
    data_ = open_dataset(config_.data, model_->data_inputs(), config_.seed);
    model_->set_data(*data_);
    writes_text_ = whole_ != nullptr && writes_text(*whole_, *data_);
    batch_ = batch_of(config_, *data_);
    num_steps_ = steps_of(config_, *data_, batch_);
    const Mesh mesh(config_.layout.d, config_.layout.p, config_.layout.t, config_.layout.order);
    PartitionOptions options = partition_options(config_, batch_, whole_ == nullptr ? nullptr : &whole_->file());
    classifies_ = data_->label().dtype == DataType::i64 && data_->label().sample_shape.rank() == 0;
    options.needs_output = !config_.dump.empty() || classifies_;
    partition_ = std::make_unique<Partition>(model_->partition(mesh, world_.rank(), options));
    check_globs(partition_->split().graph, config_.optimizer.no_decay, "--no-decay");
    if (world_.rank() == 0 && whole_ != nullptr) verify_tasks(mesh, options);
    if (config_.val_every > 0) prepare_validation(mesh, options);
    flops_per_step_ = partition_->summary.flops_per_sample * static_cast<double>(batch_);
  }

  /// Tasks that do not compute the model would train another one without a word. A rank's file of a model says too
  /// little of the other ranks for that.
  void verify_tasks(const Mesh& mesh, const PartitionOptions& options) {
    const Verification found =
        verify([this](std::int64_t samples) { return whole_->graph(samples, true); }, mesh, options);
    if (!found.holds()) throw InternalError(fmt::format("{}: {}", found.summary(), found.findings.front().to_string()));
    verification_ = found.summary();
  }

  void prepare_validation(const Mesh& mesh, PartitionOptions options) {
    validation_ = open_dataset(config_.data, model_->data_inputs(), config_.seed, true);
    if (validation_->num_samples() < batch_) {
      throw ModelError(
          fmt::format("--val-every: {} samples validate, a batch has {}: use --val FILE or a smaller --batch",
                      validation_->num_samples(), batch_));
    }
    options.forward_only = true;
    validation_partition_ = std::make_unique<Partition>(model_->partition(mesh, world_.rank(), options));
  }

  /// The mean over the whole batches of the validation set.
  double validation_loss() {
    const std::int64_t batches = validation_->num_samples() / batch_;
    double sum = 0;
    for (std::int64_t i = 0; i < batches; ++i) sum += state_->validate(*validation_, i, batch_).loss;
    return sum / static_cast<double>(batches);
  }

  /// Ranks that were started with different models, data or options would train nonsense, or wait for ever.
  void agree_on_run() {
    const std::string run = fmt::format("{} {} {} {} {} {} {} {} {} {} {} {}", data_->description(), batch_, num_steps_,
                                        config_.seed, config_.optimizer.learning_rate, config_.layout.schedule,
                                        config_.val_every, config_.checkpoint_every, config_.tf32, config_.cuda_graph,
                                        config_.gather_parts, partition_->summary.fingerprint);
    auto hash = static_cast<std::int64_t>(std::hash<std::string>{}(run));
    std::vector<std::int64_t> hashes(static_cast<std::size_t>(world_.size()));
    const std::vector<std::int64_t> counts(hashes.size(), 1);
    world_.wait(world_.all_gather({hashes.data(), DataType::i64, Shape{world_.size()}},
                                  {&hash, DataType::i64, Shape{1}}, counts));
    for (std::size_t rank = 0; rank < hashes.size(); ++rank) {
      if (hashes[rank] == hashes[0]) continue;
      throw ModelError(
          fmt::format("ranks 0 and {} were given different models, data or options: start all with the same", rank));
    }
  }

  TrainingIdentity identity() const {
    return {name_of(config_.optimizer.kind), data_->description(), batch_, config_.seed};
  }

  /// Takes up an earlier run where it was saved. All ranks look by themselves, and must find the same.
  void resume() {
    if (config_.resume.empty()) return;
    std::optional<FoundCheckpoint> found;
    agree(world_, [&] { found = checkpoint_to_resume(); });
    outcome_.steps = found ? found->steps : 0;
    agree_on_steps();
    if (!found) return;
    agree(world_, [&] { read_checkpoint(*found, identity(), *state_); });
    resume_notes_ = found->notes;
    resume_notes_.push_back(fmt::format("goes on after step {} of {}", found->steps, found->file.path()));
  }

  std::optional<FoundCheckpoint> checkpoint_to_resume() const {
    const bool is_auto = config_.resume == "auto";
    auto found = find_checkpoint(is_auto ? config_.run : config_.resume);
    if (!found && !is_auto) throw ModelError(fmt::format("--resume {}: no checkpoint is there", config_.resume));
    if (found && found->steps >= num_steps_) {
      throw ModelError(fmt::format("{}: {} steps are done already, the run is to have {}: more --steps go on",
                                   found->file.path(), found->steps, num_steps_));
    }
    return found;
  }

  void agree_on_steps() {
    std::vector<std::int64_t> all(static_cast<std::size_t>(world_.size()));
    const std::vector<std::int64_t> counts(all.size(), 1);
    std::int64_t mine = outcome_.steps;
    world_.wait(
        world_.all_gather({all.data(), DataType::i64, Shape{world_.size()}}, {&mine, DataType::i64, Shape{1}}, counts));
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      if (all[rank] == all[0]) continue;
      throw ModelError(
          fmt::format("--resume {}: rank 0 finds a checkpoint of step {}, rank {} of step {}: hosts need a "
                      "folder that they share",
                      config_.resume, all[0], rank, all[rank]));
    }
  }

  bool is_saved_after(std::int64_t steps) const {
    return config_.checkpoint_every > 0 && (steps % config_.checkpoint_every == 0 || steps == num_steps_);
  }

  void checkpoint() {
    const std::string folder = observer_ == nullptr ? "" : observer_->checkpoint_folder();
    agree(world_, [&] { outcome_.checkpoint = write_checkpoint(folder, *state_, identity(), outcome_.steps); });
  }

  double rate(std::int64_t step) const {
    const OptimizerConfig& o = config_.optimizer;
    return learning_rate(name_of(o.schedule), o.learning_rate, o.min_learning_rate, o.warmup_steps, num_steps_, step);
  }

  void start_step(std::int64_t step) {
    state_->begin_step();
    state_->load(*data_, step, batch_, rate(step), config_.seed);
    state_->run_step(step + 1 == num_steps_);
  }

  void finish_step(std::int64_t step) {
    state_->finish_step();
    if (std::isfinite(state_->totals().loss)) return;
    if (!std::isfinite(state_->local_loss())) {
      throw NotFiniteError(fmt::format("the loss is {} at step {} on rank {}: try a smaller --lr, or --clip 1",
                                       state_->local_loss(), step + 1, world_.rank()));
    }
    throw NotFiniteError(
        fmt::format("the loss is {} at step {}: try a smaller --lr, or --clip 1", state_->totals().loss, step + 1));
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
    record.peak_fraction = peak_ > 0 ? flops_per_step_ / peak_ : 0;
    if (classifies_) record.accuracy = state_->totals().correct / static_cast<double>(batch_);
    return record;
  }

  RunPlan run_plan() const {
    RunPlan plan;
    plan.model = model_->name();
    plan.parameters = partition_->summary.parameters;
    plan.flops_per_step = flops_per_step_;
    plan.data = data_->description();
    plan.batch = batch_;
    plan.microbatches = static_cast<std::int64_t>(partition_->sizes.size());
    plan.num_steps = num_steps_;
    plan.first_step = outcome_.steps;
    plan.d = partition_->mesh.d();
    plan.p = partition_->mesh.p();
    plan.t = partition_->mesh.t();
    plan.schedule = config_.layout.schedule;
    plan.tensor_mode = partition_->mode == SplitMode::gather ? "gather" : "megatron";
    plan.backend = state_->groups().devices->backend();
    plan.threads_per_rank = config_.threads;
    plan.instruction_set = name_of_isa();
    plan.notes = model_->notes();
    plan.notes.insert(plan.notes.end(), partition_->notes.begin(), partition_->notes.end());
    plan.notes.insert(plan.notes.end(), resume_notes_.begin(), resume_notes_.end());
    if (!device_.note.empty()) plan.notes.push_back(device_.note);
    if (config_.cuda_graph && state_->steps_ahead() == 0) {
      plan.notes.push_back("--cuda-graph is of GPUs: this run's steps are put together task by task");
    }
    if (config_.shaped_link) plan.notes.push_back(describe(*config_.shaped_link));
    if (!verification_.empty()) plan.notes.push_back(verification_);
    return plan;
  }

  static std::string name_of_isa() { return std::string(dml::name_of(active_isa())); }

  void save() {
    std::map<std::string, std::vector<float>> trained;
    const TensorSink keep = [&](const GatheredTensor& tensor) { trained[tensor.name] = tensor.elements; };
    gather_tensors(*state_, FlatBuffer::parameters, keep);
    gather_states(*state_, keep);
    if (world_.rank() != 0) return;
    const WeightLookup lookup = [&](const std::string& name) -> std::optional<std::vector<float>> {
      const auto found = trained.find(name);
      if (found == trained.end()) return std::nullopt;
      return found->second;
    };
    whole_->file().save(config_.save, lookup, whole_->build_options());
  }

  const Config& config_;
  Communicator& world_;
  RunObserver* observer_;
  std::unique_ptr<RunModel> model_;
  const ModelSource* whole_ = nullptr;  ///< the model where it is no shard
  std::unique_ptr<Dataset> data_;
  std::unique_ptr<Partition> partition_;
  ChosenDevice device_;
  std::unique_ptr<RankState> state_;
  std::unique_ptr<Dataset> validation_;
  std::unique_ptr<Partition> validation_partition_;
  std::string verification_;  ///< of rank 0; empty on the others
  std::vector<std::string> resume_notes_;
  TrainOutcome outcome_;
  std::int64_t num_finished_ = 0;  ///< steps that have been started and finished
  bool asked_to_stop_ = false;     ///< some rank was, by what the last finished step says
  std::vector<double> losses_;
  bool classifies_ = false;  ///< samples have one label each
  bool writes_text_ = false;
  double peak_ = 0;  ///< FLOP/s of all ranks' cores together
  std::int64_t batch_ = 0;
  std::int64_t num_steps_ = 0;
  double flops_per_step_ = 0;
};

}  // namespace

TrainOutcome train(const Config& config, Communicator& world, RunObserver* observer) {
  if (!config.isa.empty()) cap_isa(parse_isa(config.isa));
  return Trainer(config, world, observer).run();
}

}  // namespace dml
