#include "runtime/calibrate/calibration.h"

#include <algorithm>
#include <limits>

namespace dml {
namespace {

/// The table of the fewest threads, or null.
const SizeTable* find_slowest(const Hardware& hardware, std::string_view family) {
  const auto found = hardware.kernels.find(family);
  if (found == hardware.kernels.end() || found->second.empty()) return nullptr;
  const auto fewer = [](const KernelTable& a, const KernelTable& b) { return a.threads < b.threads; };
  return &std::min_element(found->second.begin(), found->second.end(), fewer)->table;
}

/// FLOP/s of the fastest point of a table over M, N and K.
double fastest_product(const SizeTable& table) {
  double fastest = 0;
  std::size_t point = 0;
  for (const double m : table.axes[0]) {
    for (const double n : table.axes[1]) {
      for (const double k : table.axes[2]) fastest = std::max(fastest, 2 * m * n * k / table.seconds[point++]);
    }
  }
  return fastest;
}

}  // namespace

void derive_peaks_and_links(Hardware& hardware) {
  if (const SizeTable* products = find_slowest(hardware, "MatMul")) {
    hardware.peaks.f32_flops = fastest_product(*products);
  }
  if (const SizeTable* sums = find_slowest(hardware, "Add")) {
    hardware.peaks.memory_bytes_per_s = sums->axes.front().back() / sums->seconds.back();
  }
  const auto sends = hardware.comm.find(CommKind::send);
  if (sends == hardware.comm.end()) return;
  const SizeTable& messages = sends->second;
  const Link link{.latency = messages.seconds.front(),
                  .bytes_per_s = messages.axes.back().back() / messages.seconds.back()};
  hardware.levels = {
      {.ranks = std::numeric_limits<int>::max(), .link = link, .algorithm = CollectiveAlgorithm::direct}};
}

}  // namespace dml
