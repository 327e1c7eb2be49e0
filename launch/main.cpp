// dmltrain: reads what to do, does it, and says in one line why where it cannot.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "launch/commands/commands.h"
#include "launch/commands/train_command.h"
#include "launch/cores.h"
#include "launch/failure.h"
#include "launch/help_page.h"
#include "launch/options/command_line.h"
#include "launch/session.h"
#include "launch/terminal/terminal.h"
#include "launch/version.h"

namespace {

using namespace dml;

bool is_training(const Command& command) { return command.wish == Command::Wish::run && command.spec == nullptr; }

bool runs_on_every_rank(const Command& command) {
  return command.wish == Command::Wish::run && (command.spec == nullptr || command.spec->on_every_rank);
}

/// Most of what is no training is done by one process, also under a launcher.
int answer(const Command& command, const LauncherEnvironment& launcher) {
  if (launcher.rank != 0 && !runs_on_every_rank(command)) return exit_code::kDone;
  Terminal terminal(stdout, display_of_stdout(launcher.size > 0));
  if (command.wish == Command::Wish::run) return command.spec->run(command, terminal);
  const Style style = terminal.style();
  if (command.wish == Command::Wish::version) {
    terminal.print(version_text() + "\n");
  } else {
    terminal.print(command.spec == nullptr ? help_page(all_commands(), style) : command_page(*command.spec, style));
  }
  return exit_code::kDone;
}

int run(char** argv, int argc, const LauncherEnvironment& launcher) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const Command command = parse_command_line(arguments, all_commands());
  if (runs_on_every_rank(command)) {
    const LayoutConfig& layout = command.config.layout;
    const std::int64_t threads_as_ranks = layout.ranks > 0 ? layout.ranks : ranks_of(layout);
    choose_waiting(argv, command.config.threads, launcher.size > 0 ? launcher.local_size : threads_as_ranks);
  }
  if (!is_training(command)) return answer(command, launcher);
  return run_training(command.config);
}

}  // namespace

int main(int argc, char** argv) {
  const LauncherEnvironment launcher = launcher_environment();
  try {
    return run(argv, argc, launcher);
  } catch (...) {
    report_and_exit(describe(std::current_exception()), launcher);
  }
}
