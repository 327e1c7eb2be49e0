// A simulated schedule as a chart in text: a line per device, time to the right.
#pragma once

#include <string>

#include "launch/terminal/style.h"
#include "parallel/simulate/schedule_simulation.h"

namespace dml {

/// `width` columns in all for `duration` (so that several charts have one axis); at most `max_rows` devices are drawn,
/// then how many more there are. A pass is its letter and, where there is room, the microbatch: "F0--B0----W0--", 'X'
/// an overlapped forward and backward, '.' a wait. Coloured where the style is.
std::string gantt_text(const ScheduleTimes& times, double duration, int width, Style style, int max_rows = 64);

/// What the letters mean, in one line.
std::string gantt_legend(Style style);

}  // namespace dml
