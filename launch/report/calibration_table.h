// What a calibration found, as tables for the terminal.
#pragma once

#include <string>

#include "launch/terminal/style.h"
#include "parallel/cost/hardware.h"

namespace dml {

std::string calibration_table(const Hardware& hardware, Style style);

}  // namespace dml
