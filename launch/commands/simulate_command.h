// `dmltrain simulate`: what schedules make of given times, without running anything.
#pragma once

#include "launch/options/command_line.h"

namespace dml {

CommandSpec simulate_command();

}  // namespace dml
