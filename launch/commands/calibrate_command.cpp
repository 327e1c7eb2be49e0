#include "launch/commands/calibrate_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "launch/atomic_file.h"
#include "launch/cores.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/report/calibration_table.h"
#include "launch/session.h"
#include "launch/terminal/terminal.h"
#include "runtime/calibrate/calibration.h"
#include "runtime/calibrate/comm_sweep.h"
#include "runtime/calibrate/kernel_sweep.h"

namespace dml {
namespace {

/// For kernels, with all numbers of threads; communication takes a few more.
constexpr double kKernelSeconds = 42;
constexpr int kMostMeasuredRanks = 8;

using CurvesByRanks = std::map<int, std::map<CommKind, CommCurve>>;

/// Groups of 2, 4, 8 ranks, and of all.
std::set<int> group_sizes(int world_size) {
  std::set<int> sizes;
  for (int ranks = 2; ranks <= std::min(world_size, kMostMeasuredRanks); ranks *= 2) sizes.insert(ranks);
  if (world_size > 1) sizes.insert(world_size);
  return sizes;
}

/// What is asked for, else one and all that a rank can have.
std::set<int> thread_counts(const Config& config, const CorePlan& cores) {
  if (config.threads > 0) return {config.threads};
  return {1, cores.threads};
}

void measure_all_kernels(Hardware& hardware, const std::set<int>& thread_counts, Terminal& terminal) {
  const double seconds = kKernelSeconds / static_cast<double>(thread_counts.size());
  for (const int threads : thread_counts) {
    use_threads(threads);
    const auto show = [&](std::string_view family, double part) {
      if (!terminal.live()) return;
      terminal.show_live(
          fmt::format("{} thread{}: {:.0f} %, {}", threads, threads == 1 ? "" : "s", 100 * part, family));
    };
    for (auto& [family, table] : measure_kernels({.threads = threads, .seconds = seconds}, show))
      hardware.kernels[family].push_back(std::move(table));
  }
  hardware.launch_seconds = measure_launch();
}

/// Ranks as threads, a world for each size of group.
CurvesByRanks measure_threads(Config config, Terminal& terminal) {
  config.threads = 1;
  CurvesByRanks curves;
  for (const int ranks : group_sizes(kMostMeasuredRanks)) {
    if (terminal.live()) terminal.show_live(fmt::format("communication of {} ranks as threads", ranks));
    const World world{.processes = false, .size = ranks, .ranks_on_node = ranks};
    run_ranks(config, world, [&](Communicator& comm) {
      std::map<CommKind, CommCurve> measured = measure_comm(comm);
      if (comm.rank() == 0) curves[ranks] = std::move(measured);
    });
  }
  return curves;
}

/// Processes: the first ranks of the world make each group, the others sleep.
CurvesByRanks measure_processes(Communicator& world) {
  CurvesByRanks curves;
  for (const int ranks : group_sizes(world.size())) {
    const bool takes_part = world.rank() < ranks;
    const std::unique_ptr<Communicator> group = world.split(takes_part ? 0 : 1, world.rank());
    if (takes_part) curves[ranks] = measure_comm(*group);
    world.wait(world.barrier());
  }
  return curves;
}

class Calibration {
 public:
  Calibration(const Command& command, Terminal& terminal)
      : config_(command.config), out_(command.text("out", kCalibrationFile)), terminal_(terminal) {}

  void run() {
    const LauncherEnvironment launcher = launcher_environment();
    const World world = resolve_world(config_, launcher, mpi_available());
    const CorePlan cores = plan_cores(config_.threads, world.processes ? world.ranks_on_node : 1, launcher);
    hardware_.name = "calibrated";
    hardware_.cores_per_host = cores.usable_cores;
    const std::set<int> threads = thread_counts(config_, cores);
    if (world.processes) {
      run_ranks(config_, world, [&](Communicator& comm) { run_process(comm, threads); });
    } else {
      measure_kernels_here(threads);
      finish(measure_threads(config_, terminal_));
    }
  }

 private:
  void run_process(Communicator& world, const std::set<int>& threads) {
    if (world.rank() == 0) measure_kernels_here(threads);
    world.wait(world.barrier());
    const CurvesByRanks curves = measure_processes(world);
    if (world.rank() == 0) finish(curves);
  }

  void measure_kernels_here(const std::set<int>& threads) {
    { const AtomicFile writable(out_); }  // before a minute is spent; nothing of it stays
    measure_all_kernels(hardware_, threads, terminal_);
  }

  void finish(const CurvesByRanks& curves) {
    hardware_.comm = comm_tables(curves);
    derive_peaks_and_links(hardware_);
    hardware_.check();
    write_file(out_, write_hardware(hardware_));
    terminal_.print(calibration_table(hardware_, terminal_.style()));
    terminal_.print(fmt::format("\nwrote {}: --hardware calibrated:{}\n", out_, out_));
  }

  const Config& config_;
  std::string out_;
  Terminal& terminal_;
  Hardware hardware_;
};

int run_calibrate(const Command& command, Terminal& terminal) {
  Calibration(command, terminal).run();
  return exit_code::kDone;
}

}  // namespace

CommandSpec calibrate_command() {
  return {.name = "calibrate",
          .arguments = "",
          .summary = "measures kernels and links here",
          .on_every_rank = true,
          .options = {{"out", "FILE", "what is written (default calibration.toml)"}},
          .run = run_calibrate};
}

}  // namespace dml
