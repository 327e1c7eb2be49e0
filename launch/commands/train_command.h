// `dmltrain` without a subcommand: trains.
#pragma once

#include "runtime/config.h"

namespace dml {

/// Resolves the world, the layout and the threads, then trains on every rank of this process. A first SIGTERM or
/// SIGUSR1 ends the training after its current step, saved. Returns the exit code; throws what goes wrong.
int run_training(Config config);

}  // namespace dml
