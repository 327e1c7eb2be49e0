#include "launch/commands/train_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string_view>

#include "launch/commands/compare/predicted_step.h"
#include "launch/commands/plan/planned_layout.h"
#include "launch/cores.h"
#include "launch/failure.h"
#include "launch/options/usage_error.h"
#include "launch/report/run_reporter.h"
#include "launch/run_folder.h"
#include "launch/session.h"
#include "runtime/checkpoint/stop_request.h"
#include "runtime/model/carried_plan.h"
#include "runtime/model/shards.h"
#include "runtime/trainer.h"

namespace dml {

namespace {

void refuse_techniques(const Techniques& techniques) {
  if (techniques == Techniques{}) return;
  throw UsageError(fmt::format("{}: modelled by graph, simulate and plan, but not executed yet: leave it out to train",
                               techniques.to_options()));
}

/// For rank 0 until all ranks have started. One that is killed before that says nothing, and the launcher then ends the
/// others by this signal.
void end_at_start(int signal) {
  constexpr std::string_view kLine =
      "dmltrain: error: rank 0: ended while the ranks were starting: another rank, or its host, was lost (killed for "
      "lack "
      "of memory perhaps), or mpirun was told to end\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kLine.data(), kLine.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void take_signals(bool starts, int rank) {
  std::signal(SIGUSR1, request_stop);
  const auto at_start = rank == 0 ? end_at_start : SIG_DFL;
  std::signal(SIGTERM, starts ? at_start : request_stop);
}

void refuse_tf32_on_cpus(const Config& config) {
  if (config.tf32 && config.device == "cpu") throw UsageError("--tf32: only GPUs compute so, and --device is cpu");
}

}  // namespace

int run_training(Config config) {
  refuse_techniques(config.layout.techniques);
  refuse_tf32_on_cpus(config);
  if (config.resume == "auto" && config.run.empty()) {
    throw UsageError("--resume auto: of which run? Name its folder with --run");
  }
  const LauncherEnvironment launcher = launcher_environment();
  if (!config.model.shards.empty()) {
    config.layout = layout_of_shards(config.layout, config.model.shards, std::max(launcher.rank, 0));
  }
  adopt_carried_layout(config);
  const std::string chosen = use_planned_layout(config, launcher);
  const World world = resolve_world(config, launcher, mpi_available());
  config.layout.d = resolve_replicas(config.layout, world);
  if (launcher.rank == 0) check_run_folder(config.run, !config.resume.empty());
  const CorePlan cores = plan_cores(config.threads, world.ranks_on_node, launcher);
  Terminal terminal(stdout, display_of_stdout(launcher.size > 0));
  if (launcher.rank <= 0) terminal.print(chosen);
  RunReporter reporter(config, terminal, cores, predicted_step_chart);
  // The file of the run keeps `threads` as it was asked for; the ranks are told the number.
  Config told = config;
  told.threads = cores.threads;
  take_signals(world.processes, launcher.rank);
  TrainOutcome outcome;
  run_ranks(told, world, [&](Communicator& comm) {
    if (world.processes) take_signals(false, launcher.rank);
    const TrainOutcome mine = train(told, comm, comm.rank() == 0 ? &reporter : nullptr);
    if (world.processes || comm.rank() == 0) outcome = mine;
  });
  if (!outcome.stopped) return exit_code::kDone;
  if (launcher.rank == 0) {
    terminal.print(
        fmt::format("stopped by signal {} after step {}: saved in {}; the same command with --run {} --resume "
                    "auto goes on\n",
                    stop_requested(), outcome.steps, outcome.checkpoint, reporter.folder()->path()));
  }
  return exit_code::kStopped;
}

}  // namespace dml
