#include "launch/commands/commands.h"

#include <vector>

#include "launch/commands/calibrate_command.h"
#include "launch/commands/compare/compare_command.h"
#include "launch/commands/doctor_command.h"
#include "launch/commands/graph_command.h"
#include "launch/commands/model_command.h"
#include "launch/commands/plan/plan_command.h"
#include "launch/commands/simulate_command.h"
#include "launch/commands/submit_command.h"
#include "launch/help_page.h"
#include "launch/shell/shell_commands.h"

namespace dml {

std::span<const CommandSpec> all_commands() {
  static const std::vector<CommandSpec> commands{
      help_command(),         graph_command(),           simulate_command(), model_show_command(),
      model_export_command(), model_partition_command(), compare_command(),  calibrate_command(),
      plan_command(),         submit_command(),          doctor_command(),   completion_command(),
      man_command(),
  };
  return commands;
}

}  // namespace dml
