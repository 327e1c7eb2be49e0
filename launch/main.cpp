// dmltrain: reads what to do, does it, and says in one line why where it cannot.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "launch/cores.h"
#include "launch/failure.h"
#include "launch/help_page.h"
#include "launch/model_command.h"
#include "launch/options/command_line.h"
#include "launch/train_command.h"
#include "launch/version.h"

namespace {

using namespace dml;

/// All that is no training is done by one process, also under a launcher.
void answer(const Command& command, const LauncherEnvironment& launcher) {
  if (launcher.rank != 0) return;
  Terminal terminal(stdout, display_of_stdout(launcher.size > 0));
  switch (command.action) {
    case Action::help_page: return terminal.print(help_page(terminal.style()));
    case Action::version: return terminal.print(version_text() + "\n");
    case Action::help_topic: return terminal.print(help_topic(command.topic, terminal.style()));
    default: return run_model_command(command, terminal);
  }
}

void run(char** argv, int argc, const LauncherEnvironment& launcher) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const Command command = parse_command_line(arguments);
  if (command.action != Action::train) return answer(command, launcher);
  const LayoutConfig& layout = command.config.layout;
  const int threads_as_ranks = std::max(layout.d, 1) * layout.p * layout.t;
  choose_waiting(argv, command.config.threads, launcher.size > 0 ? launcher.local_size : threads_as_ranks);
  run_training(command.config);
}

}  // namespace

int main(int argc, char** argv) {
  const LauncherEnvironment launcher = launcher_environment();
  try {
    run(argv, argc, launcher);
    return exit_code::kDone;
  } catch (...) {
    report_and_exit(describe(std::current_exception()), launcher);
  }
}
