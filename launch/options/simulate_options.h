// What `dmltrain simulate` is told: from its command line over its file over defaults to values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launch/options/command_line.h"
#include "parallel/pipeline/actions.h"
#include "parallel/pipeline/pipeline_settings.h"

namespace dml {

/// A schedule by its name in the table, or one that a file holds.
struct RequestedSchedule {
  std::string name;
  std::optional<ParsedSchedule> file = std::nullopt;
};

struct SimulateOptions {
  std::vector<RequestedSchedule> schedules;
  PipelineSettings settings;
  bool json = false;
  bool emits_actions = false;
  std::string html;  ///< file of the page; empty: none
};

/// The options of the command, and the keys of its file.
std::vector<OwnOption> simulate_option_table();

/// Throws UsageError that names the option, or file, line and key.
SimulateOptions simulate_options(const Command& command);

}  // namespace dml
