// One clock for all ranks: what a rank's own reading is on the clock of rank 0. And the clock of a thread's own work.
#pragma once

#include <chrono>

#include "runtime/comm/communicator.h"

namespace dml {

using Clock = std::chrono::steady_clock;

/// Seconds to add to this rank's Clock to have rank 0's: 0 within a host but for the error, which is at most half of
/// the shortest of some round trips (Cristian, "Probabilistic clock synchronization", 1989). Collective.
double seconds_to_first_rank(Communicator& world);

/// Seconds that the calling thread has been on a processor. A system call: for spans well above a microsecond.
double thread_processor_seconds();

}  // namespace dml
