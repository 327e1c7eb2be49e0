#include "launch/shell/shell_commands.h"

#include "launch/commands/commands.h"
#include "launch/failure.h"
#include "launch/shell/completion.h"
#include "launch/shell/man_page.h"
#include "launch/terminal/terminal.h"

namespace dml {

CommandSpec completion_command() {
  return {.name = "completion",
          .arguments = "bash|zsh|fish",
          .summary = "completion for a shell",
          .least_arguments = 1,
          .most_arguments = 1,
          .run = [](const Command& command, Terminal& terminal) {
            terminal.print(completion(command.arguments.front(), all_commands()));
            return exit_code::kDone;
          }};
}

CommandSpec man_command() {
  return {
      .name = "man", .arguments = "", .summary = "the manual page, as roff", .run = [](const Command&, Terminal& t) {
        t.print(man_page(all_commands()));
        return exit_code::kDone;
      }};
}

}  // namespace dml
