// dmltrain(1) in roff, of the tables and texts that --help and `dmltrain help` show.
#pragma once

#include <span>
#include <string>

#include "launch/options/command_line.h"

namespace dml {

std::string man_page(std::span<const CommandSpec> commands);

}  // namespace dml
