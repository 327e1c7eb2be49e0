#include "launch/commands/plan/plan_measure.h"

#include <fmt/format.h>

#include "launch/cores.h"
#include "launch/options/usage_error.h"
#include "launch/report/plan/measured_report.h"
#include "launch/session.h"
#include "launch/terminal/terminal.h"
#include "runtime/trainer.h"

namespace dml {
namespace {

constexpr int kMostThreadRanks = 64;
constexpr int kTurns = 3;
constexpr std::int64_t kWarmUp = 2;  // steps of a turn that are not counted
constexpr std::int64_t kCounted = 6;

/// Keeps the times of the steps after the warm-up.
class StepTimes : public RunObserver {
 public:
  explicit StepTimes(std::vector<double>& seconds) : seconds_(seconds) {}
  void traced(std::span<const RankTasks> /*ranks*/, const Timeline& /*timeline*/, const Mesh& /*mesh*/,
              const std::function<std::string(const RankTasks&, const Task&)>& /*name_of_task*/) override {}
  void started(const RunPlan& /*plan*/) override {}
  std::string checkpoint_folder() const override { return ""; }
  void stepped(const StepRecord& record, const std::vector<RankStep>& /*ranks*/) override {
    if (record.step >= kWarmUp) seconds_.push_back(record.mean.step);
  }
  void finished(const RunSummary& /*summary*/) override {}

 private:
  std::vector<double>& seconds_;
};

/// A short run of the command's model in that layout, which writes nothing.
Config short_run(const Config& config, const LayoutChoice& layout, std::int64_t batch) {
  Config run = config;
  run.layout = with_layout(config.layout, layout);
  run.data.batch = batch;
  run.steps = kWarmUp + kCounted;
  run.epochs = 0;
  run.val_every = 0;
  run.comm = "thread";
  run.run = run.save = run.dump = "";
  return run;
}

void add_turn(const Config& config, std::vector<double>& seconds) {
  const World world = resolve_world(config, {}, mpi_available());
  StepTimes times(seconds);
  run_ranks(config, world, [&](Communicator& comm) { train(config, comm, comm.rank() == 0 ? &times : nullptr); });
}

void check_measurable(const Command& command, const PlanReport& plan) {
  if (plan.world > kMostThreadRanks) {
    throw UsageError(fmt::format("--measure: {} ranks are too many for threads of one process; at most {}", plan.world,
                                 kMostThreadRanks));
  }
  if (command.config.data.source.empty())
    throw UsageError("--measure trains, and there is no data: give --data, such as --data builtin:text");
}

}  // namespace

LayoutConfig with_layout(LayoutConfig config, const LayoutChoice& layout) {
  config.d = layout.d;
  config.p = layout.p;
  config.t = layout.t;
  config.schedule = layout.schedule->name;
  config.chunks = layout.schedule->any_chunks && layout.p > 1 ? layout.chunks : 0;
  config.microbatches = layout.microbatches;
  config.techniques = layout.techniques;
  if (layout.t > 1) config.tensor_mode = layout.mode == SplitMode::gather ? TensorMode::gather : TensorMode::megatron;
  return config;
}

void plan_measure(const Command& command, const PlanReport& plan, std::size_t count, Terminal& terminal) {
  check_measurable(command, plan);
  std::vector<MeasuredLayout> measured;
  for (const RankedLayout& ranked : plan.found.ranked) {
    if (measured.size() == count) break;
    if (ranked.layout.techniques == Techniques{}) measured.push_back({ranked, {}});
  }
  if (measured.empty()) throw UsageError("--measure: no layout that can be trained fits into the memory");
  Config config = command.config;
  config.threads = plan_cores(config.threads, plan.world, {}).threads;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (MeasuredLayout& layout : measured)
      add_turn(short_run(config, layout.ranked.layout, plan.batch), layout.step_seconds);
  }
  terminal.print(command.has("json") ? measured_json(plan, measured) : measured_text(plan, measured, terminal.style()));
}

}  // namespace dml
