// Simulated schedules side by side, as text and as JSON.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/terminal/style.h"
#include "parallel/simulate/schedule_simulation.h"

namespace dml {

/// A schedule that was simulated, with all that it was made of.
struct SimulatedSchedule {
  std::string name;
  Pipeline pipeline;
  int copies = 1;
  std::vector<Order> orders;
  ScheduleTimes times;

  /// The largest of all positions.
  double peak_memory() const;
};

/// Charts on one time axis, `width` columns wide, and a table; of a single schedule also a table of its devices.
std::string schedule_text(std::span<const SimulatedSchedule> schedules, int width, Style style);

/// An object with makespan, cost, bubble_rate, peak_memory and devices; of several schedules {"schedules": [...]}.
std::string schedule_json(std::span<const SimulatedSchedule> schedules);

}  // namespace dml
