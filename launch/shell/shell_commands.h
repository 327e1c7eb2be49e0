// `dmltrain completion` and `dmltrain man`: what a shell and a reader of manuals are told, read off the same tables as
// --help.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec completion_command();
CommandSpec man_command();

}  // namespace dml
