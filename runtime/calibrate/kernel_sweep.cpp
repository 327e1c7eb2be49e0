#include "runtime/calibrate/kernel_sweep.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "runtime/calibrate/samples.h"
#include "runtime/comm/clock.h"

namespace dml {
namespace {

constexpr double kBeyondCaches = SweepBuffers::kBeyondCaches;
constexpr int kMostSets = 8;
/// A kernel faster than this is repeated until it took as long.
constexpr double kSliceSeconds = 0.5e-3;
constexpr int kMostRepetitions = 12;

double seconds_of_run(const Kernel& kernel) {
  const Clock::time_point begin = Clock::now();
  kernel();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// With one thread: without the time in which somebody else had its core.
double seconds_of(const Kernel& kernel, int threads) {
  if (threads > 1) return seconds_of_run(kernel);
  const double begin = thread_processor_seconds();
  const double seconds = seconds_of_run(kernel);
  return std::min(seconds, thread_processor_seconds() - begin);
}

/// Runs the kernels in turn, and appends what each run takes.
void run_in_turn(std::span<const Kernel> kernels, int threads, std::vector<double>& seconds) {
  double spent = 0;
  for (int i = 0; i < kMostRepetitions && spent < kSliceSeconds; ++i) {
    const Kernel& kernel = kernels[static_cast<std::size_t>(i) % kernels.size()];
    seconds.push_back(seconds_of(kernel, threads));
    spent += seconds.back();
  }
}

/// A fast kernel: so many copies of its buffers are used in turn that each has left the caches, or those that are
/// closest where it takes little memory.
void measure_fast(KernelCase& size, std::vector<Kernel> kernels, int threads, SweepBuffers& buffers) {
  const int sets = std::clamp(static_cast<int>(kBeyondCaches / size.bytes), 1, kMostSets);
  for (int set = 1; set < sets; ++set) {
    kernels.push_back(size.bind(buffers));
    kernels.back()();
  }
  run_in_turn(kernels, threads, size.unused);
  kernels.front()();
  run_in_turn(std::span(kernels).first(1), threads, size.used);
}

void measure_case(KernelCase& size, int threads, SweepBuffers& buffers) {
  buffers.rewind();
  const Kernel kernel = size.bind(buffers);
  kernel();  // the first run of each may allocate
  const double seconds = seconds_of(kernel, threads);
  if (seconds < kSliceSeconds) return measure_fast(size, {kernel}, threads, buffers);
  size.used.push_back(seconds);
  if (size.bytes < kBeyondCaches) buffers.flush_caches();
  size.unused.push_back(seconds_of(kernel, threads));
}

SizeTable table_of(const CaseFamily& family) {
  SizeTable table;
  std::size_t stride = family.points.size();
  for (std::size_t axis = 0; axis < family.num_axes; ++axis) {
    stride /= family.extents[axis];
    std::vector<double>& sizes = table.axes.emplace_back();
    for (std::size_t i = 0; i < family.extents[axis]; ++i) sizes.push_back(family.points[i * stride].sizes[axis]);
  }
  for (const KernelCase& point : family.points) {
    table.seconds.push_back(point.seconds(family.unused_weight));
    table.spread.push_back(point.spread());
  }
  return table;
}

double residual_of(const CaseFamily& family, const SizeTable& table) {
  std::vector<double> errors;
  for (const KernelCase& size : family.between)
    errors.push_back(std::abs(table.seconds_at(size.sizes) / size.seconds(family.unused_weight) - 1));
  return median(errors);
}

}  // namespace

KernelSweep::KernelSweep(std::span<const Crowd> crowds) {
  for (const Crowd& crowd : crowds) {
    Measured& measured = measured_.emplace_back(Measured{crowd, all_families()});
    if (!crowd.share_cores) continue;
    for (CaseFamily& family : measured.families) family.unused_weight = 1;
  }
}

void KernelSweep::measure(std::size_t family, std::size_t crowd) {
  if (!buffers_) buffers_.emplace();
  CaseFamily& cases = measured_[crowd].families[family];
  const int threads = measured_[crowd].crowd.threads;
  for (KernelCase& size : cases.points) measure_case(size, threads, *buffers_);
  const bool is_first = cases.between.empty() || cases.between.front().used.empty();
  if (!is_first) return;  // once is enough for the residual
  for (KernelCase& size : cases.between) measure_case(size, threads, *buffers_);
}

std::map<std::string, std::vector<KernelTable>, std::less<>> KernelSweep::tables() const {
  std::map<std::string, std::vector<KernelTable>, std::less<>> tables;
  for (const auto& [crowd, families] : measured_) {
    for (const CaseFamily& family : families) {
      KernelTable& kernel = tables[family.name].emplace_back();
      kernel = {.threads = crowd.threads, .ranks = crowd.ranks, .table = table_of(family)};
      kernel.residual = residual_of(family, kernel.table);
    }
  }
  return tables;
}

double measure_disturbance() {
  constexpr int kQuanta = 4000;
  constexpr int kMultiplications = 100'000;  // each waits for the one before: about 200 us
  double value = 1;
  const Kernel quantum = [&] {
    for (int i = 0; i < kMultiplications; ++i) value = value * 0.999 + 0.001;
  };
  std::vector<double> seconds;
  for (int i = 0; i < kQuanta; ++i) seconds.push_back(seconds_of_run(quantum));
  const double mean = std::accumulate(seconds.begin(), seconds.end(), 0.0) / kQuanta;
  [[maybe_unused]] const volatile double kept = value;  // else the loop could be left out
  return std::max(mean / median(seconds) - 1, 0.0);
}

double measure_launch() {
  constexpr int kCalls = 1000;
  const Kernel nothing = [] {};
  const Clock::time_point begin = Clock::now();
  double inside = 0;
  for (int call = 0; call < kCalls; ++call) inside += seconds_of_run(nothing);
  const double all = std::chrono::duration<double>(Clock::now() - begin).count();
  return std::max(all - inside, 0.0) / kCalls;
}

}  // namespace dml
