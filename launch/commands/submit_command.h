// `dmltrain submit`: a training as a Slurm job, and what becomes of it.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec submit_command();

}  // namespace dml
