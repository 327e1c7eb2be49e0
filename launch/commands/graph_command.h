// `dmltrain graph`: writes the task graph of a model and a layout as pictures and files.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec graph_command();

}  // namespace dml
