// What `dmltrain compare --trace` shows: passes of another program beside the schedule that they should follow.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launch/terminal/style.h"
#include "parallel/compare/measured_schedule.h"

namespace dml {

/// Times in seconds.
struct TraceReport {
  std::string trace;     ///< where it was read
  std::string schedule;  ///< its name
  MeasuredSchedule found;
  std::map<int, std::map<std::string, double>> kernels = {};  ///< by position: seconds by kind, of all steps traced
  std::string run = "";                                       ///< a run of dmltrain of the same schedule, or empty
  std::optional<MeasuredSchedule> of_run = std::nullopt;

  bool agrees() const { return found.reordered.empty(); }
};

/// Charts on one time axis, `width` columns wide, and tables by stage and by position.
std::string trace_text(const TraceReport& report, int width, Style style);
std::string trace_json(const TraceReport& report);

}  // namespace dml
