#include "launch/commands.h"

#include <vector>

#include "launch/calibrate_command.h"
#include "launch/compare_command.h"
#include "launch/graph_command.h"
#include "launch/help_page.h"
#include "launch/model_command.h"
#include "launch/plan_command.h"
#include "launch/simulate_command.h"

namespace dml {

std::span<const CommandSpec> all_commands() {
  static const std::vector<CommandSpec> commands{
      help_command(),       graph_command(),        simulate_command(),
      model_show_command(), model_export_command(), model_partition_command(),
      compare_command(),    calibrate_command(),    plan_command(),
  };
  return commands;
}

}  // namespace dml
