// `dmltrain` without a subcommand: trains.
#pragma once

#include "runtime/config.h"

namespace dml {

/// Resolves the world, the layout and the threads, then trains on every rank of this process. Throws what goes wrong.
void run_training(Config config);

}  // namespace dml
