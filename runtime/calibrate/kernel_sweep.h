// Measures every kernel family of this machine on real buffers, through the same binding that training uses.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/cost/hardware.h"
#include "runtime/calibrate/kernel_cases.h"

namespace dml {

/// Ranks of so many threads each that measure at the same time.
struct Crowd {
  int threads = 1;  ///< that OpenMP grants each rank
  int ranks = 1;
  bool share_cores = false;  ///< none finds in the caches what it used a moment ago
};

/// Measures each family in each crowd, and again: a change of the machine's speed then meets crowds alike, and a
/// disturbance of some seconds each size but once.
class KernelSweep {
 public:
  explicit KernelSweep(std::span<const Crowd> crowds);

  std::size_t num_families() const { return measured_.front().families.size(); }
  const std::string& name(std::size_t family) const { return measured_.front().families[family].name; }

  /// Runs each size of the family some times, as one of the crowd. A size is run on buffers that were used a moment ago
  /// and on some that were not, as both occur in a step. With one thread, waiting for a core does not count. Takes
  /// 300 MB of memory, and keeps them.
  void measure(std::size_t family, std::size_t crowd);

  /// Of each family one table for each crowd, with the spread of the repetitions and the error of interpolation at
  /// sizes between. Seconds are means, as a step adds them up, but for repetitions that were plainly disturbed; those
  /// of used and unused buffers are blended by the family's weight.
  std::map<std::string, std::vector<KernelTable>, std::less<>> tables() const;

 private:
  struct Measured {
    Crowd crowd;
    std::vector<CaseFamily> families;
  };

  std::optional<SweepBuffers> buffers_;
  std::vector<Measured> measured_;
};

/// Seconds that the executor takes for a task beside its kernel: the call, and two looks at the clock.
double measure_launch();

/// The part of its time that the caller's core gives to others (the system, other programs, a hypervisor): by how much
/// a fixed piece of work takes longer in the mean than in the median (the fixed work quanta of Petrini, Kerbyson and
/// Pakin, SC 2003). Takes about a second.
double measure_disturbance();

}  // namespace dml
