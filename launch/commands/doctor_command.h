// `dmltrain doctor`: what this machine or allocation has, and what is wrong with it.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec doctor_command();

}  // namespace dml
