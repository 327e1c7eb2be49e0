// `dmltrain simulate --hardware H`: a whole training step of a model, laid out over ranks, on some hardware.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

/// Prints the predicted step; the exit code. Throws UsageError, ModelError.
int simulate_model(const Command& command, Terminal& terminal);

}  // namespace dml
