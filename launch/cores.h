// How many threads a rank gets, and on which cores: by the affinity of this process, which a launcher may have made
// too small.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"

namespace dml {

struct CorePlan {
  int usable_cores = 1;  ///< of this node, for all of its ranks together
  int threads = 1;       ///< per rank
  std::vector<std::string> notes;
};

/// What the plan is made from; cores are counts.
struct CoreFacts {
  int own = 1;       ///< that this process may use
  int launcher = 0;  ///< that the launcher of this process may use; 0 where there is none or it cannot be seen
  bool bound_on_purpose = false;  ///< the launcher was told how to bind
  int ranks = 1;                  ///< on this node
  int asked = 0;                  ///< threads per rank; 0: the node's cores shared
};
struct CoreDecision {
  CorePlan plan;
  bool widen = false;  ///< this process should take all of the launcher's cores
};
/// Pure: what to do about the facts.
CoreDecision decide_cores(const CoreFacts& facts);

/// The cores that this process may use, by number.
std::vector<int> own_cores();

/// Looks at this process, decides, and widens its affinity where that is decided. `ranks` live on this node.
CorePlan plan_cores(int asked_threads, int ranks, const LauncherEnvironment& launcher);

/// OpenMP regions of the calling thread use so many threads from now on.
void use_threads(int threads);

/// Makes OpenMP's waiting threads sleep: at once where `ranks` of `asked_threads` (0: their share) are more than the
/// node's cores, else after a brief spin, which spares the waking between two kernels. Nothing changes where the
/// environment says how to wait. OpenMP reads that when the program is loaded, so this program is started again in its
/// place, once.
void choose_waiting(char** argv, int asked_threads, std::int64_t ranks);

}  // namespace dml
