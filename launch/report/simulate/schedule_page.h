// schedules.html: simulated schedules side by side on one time axis, in one file that needs no network. Sizes, times
// and schedules can be changed in it, and pictures saved: report/page/schedule_orders.js and schedule_engine.js make
// and play all schedules once more.
#pragma once

#include <span>
#include <string>

#include "launch/report/simulate/schedule_report.h"
#include "parallel/pipeline/pipeline_settings.h"

namespace dml {

/// Schedules that are not in the program's table are shown in their own order only.
std::string schedule_page(std::span<const SimulatedSchedule> schedules, const PipelineSettings& settings);

}  // namespace dml
