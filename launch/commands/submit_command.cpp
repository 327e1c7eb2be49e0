#include "launch/commands/submit_command.h"

#include <fmt/format.h>

#include "launch/cluster/follow.h"
#include "launch/cluster/slurm.h"
#include "launch/cluster/submit_options.h"
#include "launch/failure.h"
#include "launch/options/option_makers.h"
#include "launch/terminal/terminal.h"

namespace dml {
namespace {

constexpr std::string_view kActions[] = {"status", "cancel", "logs"};

int submit_training(const Command& command, Terminal& terminal) {
  const JobRequest request = job_request(command, srun_has_pmix);
  const std::string script = job_script(request);
  if (command.has("print")) {
    terminal.print(script);
    return exit_code::kDone;
  }
  const std::string job = submit_script(script);
  for (const std::string& note : request.notes)
    terminal.print(fmt::format("  {} {}\n", terminal.style().strong("note:"), note));
  terminal.print(fmt::format("submitted job {}; its log: {}\n", job, job_log(request, job)));
  return command.has("wait") ? follow_job(job, terminal) : exit_code::kDone;
}

int run_submit(const Command& command, Terminal& terminal) {
  if (command.arguments.empty()) return submit_training(command, terminal);
  const std::size_t action = parse_choice(command.arguments.front(), kActions);
  if (command.arguments.size() == 1)
    throw UsageError(fmt::format("submit {}: of which job? Give its number", kActions[action]));
  const std::string& job = command.arguments.back();
  switch (action) {
    case 0: terminal.print(job_status(job, terminal.style())); break;
    case 1: cancel_job(job, command.has("now")); break;
    default:
      if (command.has("wait")) return follow_job(job, terminal);
      print_log(job, terminal);
  }
  return exit_code::kDone;
}

}  // namespace

CommandSpec submit_command() {
  return {.name = "submit",
          .arguments = "[status|cancel|logs JOB]",
          .summary = "trains as a Slurm job",
          .most_arguments = 2,
          .on_preset = true,
          .options = submit_option_table(),
          .run = run_submit};
}

}  // namespace dml
