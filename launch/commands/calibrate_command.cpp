#include "launch/commands/calibrate_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <thread>
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
#include "runtime/comm/clock.h"

namespace dml {
namespace {

/// For kernels, of all crowds together; communication takes some seconds more.
constexpr double kKernelSeconds = 48;
constexpr int kMostMeasuredRanks = 8;

using CurvesByRanks = std::map<int, std::map<CommKind, CommCurve>>;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// What rank 0 says, on all ranks.
bool agreed(Communicator& world, bool said) {
  float value = said ? 1.0F : 0.0F;
  world.wait(world.broadcast({&value, DataType::f32, Shape{1}}, 0));
  return value != 0;
}

/// Groups of 2, 4, 8 ranks, and of all.
std::set<int> group_sizes(int world_size) {
  std::set<int> sizes;
  for (int ranks = 2; ranks <= std::min(world_size, kMostMeasuredRanks); ranks *= 2) sizes.insert(ranks);
  if (world_size > 1) sizes.insert(world_size);
  return sizes;
}

/// All ranks go on when the last one has come. Who waits sleeps, and leaves the cores to those that measure.
void meet(Communicator& world) {
  constexpr std::chrono::milliseconds kSleep{5};
  constexpr int kMostSleeps = 20'000;
  const Ticket ticket = world.barrier();
  for (int i = 0; i < kMostSleeps && !world.test(ticket); ++i) std::this_thread::sleep_for(kSleep);
  world.wait(ticket);
}

/// One rank with one thread, or with what is asked for; with all threads that it can have; one rank on every core; and
/// two on every core.
std::vector<Crowd> crowds_of(const Config& config, const CorePlan& cores, int world_size) {
  const int threads = std::max(1, config.threads);
  std::vector<Crowd> crowds{{.threads = threads}};
  if (config.threads == 0 && cores.threads > 1) crowds.push_back({.threads = cores.threads});
  const int most = std::min(world_size, kMostMeasuredRanks);
  const int at_once = std::min(cores.usable_cores / threads, most);
  if (at_once > 1) crowds.push_back({.threads = threads, .ranks = at_once});
  const int sharing = 2 * std::max(1, cores.usable_cores / threads);
  if (sharing <= most) crowds.push_back({.threads = threads, .ranks = sharing, .share_cores = true});
  return crowds;
}

/// Of the crowd that has a core for each thread, and no core idle.
int ranks_on_cores(std::span<const Crowd> crowds) {
  int ranks = 1;
  for (const Crowd& crowd : crowds)
    if (!crowd.share_cores) ranks = std::max(ranks, crowd.ranks);
  return ranks;
}

/// All ranks along the axis that --shape-link names: groups of any size have such links.
LayoutConfig layout_along(char axis, int world_size) {
  LayoutConfig layout;
  if (axis != 0) (axis == 'd' ? layout.d : axis == 'p' ? layout.p : layout.t) = world_size;
  return layout;
}

class Calibration {
 public:
  Calibration(const Command& command, Terminal& terminal)
      : config_(command.config), out_(command.text("out", kCalibrationFile)), terminal_(terminal) {}

  void run() {
    const LauncherEnvironment launcher = launcher_environment();
    World world = resolve_world(config_, launcher, mpi_available());
    if (!world.processes) world = {.processes = false, .size = kMostMeasuredRanks, .ranks_on_node = kMostMeasuredRanks};
    const CorePlan cores = plan_cores(config_.threads, world.processes ? world.ranks_on_node : 1, launcher);
    hardware_.name = "calibrated";
    hardware_.cores_per_host = cores.usable_cores;
    if (!world.processes) require_writable();
    Config config = config_;
    config.threads = 1;
    if (config.shaped_link) config.layout = layout_along(config.shaped_link->axis, world.size);
    const std::vector<Crowd> crowds = crowds_of(config_, cores, world.ranks_on_node);
    run_ranks(config, world, [&](Communicator& comm) { run_rank(comm, crowds); });
  }

 private:
  /// Before a minute is spent; nothing of it stays.
  void require_writable() const { const AtomicFile writable(out_); }

  void run_rank(Communicator& world, const std::vector<Crowd>& crowds) {
    const bool speaks = world.rank() == 0;
    if (speaks) require_writable();
    measure_kernels(world, crowds);
    meet(world);
    const double disturbance = world.rank() < ranks_on_cores(crowds) ? measure_disturbance() : 0;
    if (speaks) hardware_.disturbance = disturbance;
    meet(world);
    if (speaks) hardware_.launch_seconds = measure_launch();
    const CurvesByRanks curves = measure_groups(world);
    if (speaks) finish(curves);
  }

  /// The first ranks of the world make each crowd, the others sleep. All in turn, as often as there is time.
  void measure_kernels(Communicator& world, const std::vector<Crowd>& crowds) {
    KernelSweep sweep(crowds);
    const Clock::time_point begin = Clock::now();
    for (int turns = 1;; ++turns) {
      for (std::size_t family = 0; family < sweep.num_families(); ++family) {
        if (world.rank() == 0) show(sweep.name(family), seconds_since(begin) / kKernelSeconds);
        for (std::size_t crowd = 0; crowd < crowds.size(); ++crowd) {
          meet(world);
          if (world.rank() >= crowds[crowd].ranks) continue;
          use_threads(crowds[crowd].threads);
          sweep.measure(family, crowd);
        }
      }
      meet(world);
      const double seconds = seconds_since(begin);
      if (!agreed(world, seconds + seconds / turns <= kKernelSeconds)) break;
    }
    if (world.rank() == 0) hardware_.kernels = sweep.tables();
  }

  void show(std::string_view family, double part) {
    if (!terminal_.live()) return;
    terminal_.show_live(fmt::format("kernels: {:.0f} %, {}", 100 * std::min(part, 1.0), family));
  }

  /// The first ranks of the world make each group, the others sleep.
  CurvesByRanks measure_groups(Communicator& world) {
    use_threads(1);
    CurvesByRanks curves;
    for (const int ranks : group_sizes(world.size())) {
      if (world.rank() == 0 && terminal_.live()) terminal_.show_live(fmt::format("communication of {} ranks", ranks));
      const bool takes_part = world.rank() < ranks;
      const std::unique_ptr<Communicator> group = world.split(takes_part ? 0 : 1, world.rank());
      if (takes_part) curves[ranks] = measure_comm(*group);
      meet(world);
    }
    return curves;
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
          .reads = {"threads", "comm", "collectives", "deadline", "shape-link"},
          .options = {{"out", "FILE", "what is written (default calibration.toml)"}},
          .run = run_calibrate};
}

}  // namespace dml
