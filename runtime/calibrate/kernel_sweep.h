// Measures every kernel family of this machine on real buffers, through the same binding that training uses.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "parallel/cost/hardware.h"

namespace dml {

/// Told now and then: what is measured, and which part of all is done.
using SweepProgress = std::function<void(std::string_view what, double part)>;

struct KernelSweep {
  int threads = 1;           ///< that OpenMP grants the caller now
  double seconds = 20;       ///< about how long it may take; at least one round is measured
  int rounds = 5;            ///< over all sizes, so that a disturbance meets each size but once
  int ranks = 1;             ///< that measure at the same time, to be noted in the tables
  bool share_cores = false;  ///< these ranks: none finds in the caches what it used a moment ago
};

/// The table of each family, with the spread of its repetitions and the error of interpolation at sizes between. Each
/// size is run on buffers that were used a moment ago and on some that were not, as both occur in a step; the medians
/// of both are blended by the family's weight. With one thread, waiting for a core does not count. Takes 300 MB of
/// memory.
std::map<std::string, KernelTable, std::less<>> measure_kernels(const KernelSweep& sweep,
                                                                const SweepProgress& progress);

/// Seconds that the executor takes for a task beside its kernel: the call, and two looks at the clock.
double measure_launch();

}  // namespace dml
