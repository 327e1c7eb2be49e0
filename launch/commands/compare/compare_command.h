// `dmltrain compare RUN`.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec compare_command();

}  // namespace dml
