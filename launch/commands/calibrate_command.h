// `dmltrain calibrate`: measures kernels, memory and communication of this machine, and writes them to a file.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec calibrate_command();

}  // namespace dml
