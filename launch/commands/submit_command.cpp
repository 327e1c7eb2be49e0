#include "launch/commands/submit_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/cluster/follow.h"
#include "launch/cluster/slurm.h"
#include "launch/cluster/submit_options.h"
#include "launch/commands/plan/plan_command.h"
#include "launch/failure.h"
#include "launch/options/option_makers.h"
#include "launch/terminal/terminal.h"

namespace dml {
namespace {

constexpr std::string_view kActions[] = {"status", "cancel", "logs"};

/// As many as training takes where it is not told; 0 where that depends on the data.
int microbatches_of(const LayoutConfig& layout, std::int64_t batch) {
  if (layout.microbatches > 0) return layout.microbatches;
  if (layout.p == 1) return 1;
  if (batch == 0) return 0;
  return static_cast<int>(std::clamp<std::int64_t>(batch / layout.d, 1, 2 * layout.p));
}

/// `dmltrain plan` of this one layout.
Command plan_of(const Command& command, const Submission& submission) {
  const LayoutConfig& layout = submission.layout;
  Command plan;
  plan.config = command.config;
  plan.config.layout = LayoutConfig{};
  plan.config.layout.tensor_mode = layout.tensor_mode;
  plan.config.layout.bucket_bytes = layout.bucket_bytes;
  plan.own["hardware"] = {submission.hardware};
  plan.own["schedules"] = {layout.schedule};
  plan.own["recompute"] = {"none"};
  plan.own["zero"] = {"0"};
  const int microbatches = microbatches_of(layout, command.config.data.batch);
  for (const auto& [name, number] : {std::pair{"d", layout.d}, {"p", layout.p}, {"t", layout.t}}) {
    plan.own[fmt::format("min-{}", name)] = plan.own[fmt::format("max-{}", name)] = {std::to_string(number)};
  }
  if (microbatches > 0) plan.own["min-microbatches"] = plan.own["max-microbatches"] = {std::to_string(microbatches)};
  return plan;
}

/// What a rank needs of its device, where the device is known and the layout is one that estimates know.
std::vector<std::string> memory_notes(const Command& command, const Submission& submission) {
  const LayoutConfig& layout = submission.layout;
  const bool is_known =
      layout.plan.empty() && layout.order == LayoutConfig{}.order && !layout.schedule.starts_with("file:");
  if (submission.hardware.empty() || !is_known || !command.config.model.shards.empty()) return {};
  const PlanReport plan = search_plan(plan_of(command, submission), layout.d * layout.p * layout.t);
  if (plan.found.ranked.empty()) {
    const std::string why = plan.found.rejected.empty() ? "" : ": " + plan.found.rejected.front().message;
    throw UsageError(fmt::format("submit: {} on {} is not possible{}", submission.job.layout, plan.hardware, why));
  }
  constexpr double kGigabyte = 1e9;
  return {fmt::format("a rank needs about {:.3g} of {:.3g} GB on {}, by estimate",
                      plan.found.ranked.front().estimate.memory.total() / kGigabyte, plan.memory_limit / kGigabyte,
                      plan.hardware)};
}

JobRequest checked_request(const Command& command) {
  Submission submission = read_submission(command, srun_has_pmix);
  for (std::string& note : memory_notes(command, submission)) submission.job.notes.push_back(std::move(note));
  return std::move(submission.job);
}

int submit_training(const Command& command, Terminal& terminal) {
  const JobRequest request = checked_request(command);
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
    case 1:
      cancel_job(job, command.has("now"));
      terminal.print(
          fmt::format("job {} is cancelled{}\n", job, command.has("now") ? "" : "; what runs of it saves first"));
      break;
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
          .reads = {"Model", "Data", "Planned layout", "Layout", "Optimizer", "Run", "Communication"},
          .options = submit_option_table(),
          .run = run_submit};
}

}  // namespace dml
