// `dmltrain plan`: which layout trains a model fastest on some hardware.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec plan_command();

}  // namespace dml
