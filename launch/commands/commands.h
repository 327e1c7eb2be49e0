// The commands of dmltrain. Adding one is a file `launch/NAME_command.cpp` and a row here.
#pragma once

#include <span>

#include "launch/options/command_line.h"

namespace dml {

/// In the order of --help.
std::span<const CommandSpec> all_commands();

}  // namespace dml
