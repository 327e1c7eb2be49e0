// A Config back as the words of a command line.
#pragma once

#include <vector>

#include "launch/cluster/job_script.h"
#include "runtime/config.h"

namespace dml {

/// The options that give `config` when read again, as few as do. Those of the layout's axes are always there; --run
/// and --resume never are.
std::vector<OptionWords> training_words(const Config& config);

}  // namespace dml
