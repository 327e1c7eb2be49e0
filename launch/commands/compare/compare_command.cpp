#include "launch/commands/compare/compare_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "launch/atomic_file.h"
#include "launch/commands/compare/compare_trace.h"
#include "launch/commands/compare/generated_run.h"
#include "launch/failure.h"
#include "launch/hardware_file.h"
#include "launch/report/compare/compare_report.h"
#include "launch/report/compare/runs_report.h"
#include "launch/report/run/step_chart.h"
#include "launch/terminal/terminal.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kOutliers = 10;

StepParts mean_of(const std::vector<StepParts>& ranks) {
  StepParts mean;
  const auto n = static_cast<double>(ranks.size());
  for (const StepParts& rank : ranks) {
    for (const auto part :
         {&StepParts::step, &StepParts::compute, &StepParts::core_wait, &StepParts::exposed_comm, &StepParts::bubble})
      mean.*part += rank.*part / n;
  }
  return mean;
}

std::string kind_of_task(const RankTasks& /*rank*/, const Task& task) { return kind_of(task); }

/// Both critical paths by kind, the largest measured share first.
std::vector<PathShare> path_shares(const GeneratedRun& run, const Timeline& predicted, const Timeline& measured) {
  std::map<std::string, PathShare> shares;
  const auto add = [&](const Timeline& timeline, double PathShare::*side) {
    for (const PathGroup& group : path_groups(run.tasks(), run.critical_path(timeline), kind_of_task))
      shares[group.name].*side = group.seconds;
  };
  add(predicted, &PathShare::predicted);
  add(measured, &PathShare::measured);
  std::vector<PathShare> result;
  for (auto& [what, share] : shares) {
    share.what = what;
    result.push_back(share);
  }
  std::sort(result.begin(), result.end(),
            [](const PathShare& a, const PathShare& b) { return a.measured > b.measured; });
  return result;
}

void add_groups(Comparison& c, const GeneratedRun& run) {
  const Timeline &predicted = c.predicted, &measured = c.joined.measured;
  c.task_error = task_error(run.tasks(), predicted, measured);
  c.kinds = compare_groups(run.tasks(), predicted, measured, kind_of_task);
  c.families = compare_groups(run.tasks(), predicted, measured,
                              [&](const RankTasks& rank, const Task& task) { return run.operation_of(rank, task); });
  std::sort(c.families.begin(), c.families.end(),
            [](const ComparedGroup& a, const ComparedGroup& b) { return a.measured > b.measured; });
  c.path = path_shares(run, predicted, measured);
  for (const ComparedTask& task : largest_differences(run.tasks(), predicted, measured, kOutliers)) {
    const RankTasks& rank = run.tasks()[static_cast<std::size_t>(task.rank)];
    const Task& t = rank.tasks[static_cast<std::size_t>(task.task)];
    c.outliers.push_back({task, t.id.to_string(), run.name_of(rank, t)});
  }
}

/// By `hardware`, or by the measured seconds of each task where it is null.
Comparison compared(const GeneratedRun& run, const Hardware* hardware) {
  Comparison c;
  c.run = run.files().folder;
  c.joined = run.joined();
  for (const RankTasks& rank : run.tasks()) c.num_generated += rank.tasks.size();
  c.by = hardware != nullptr ? hardware->name : "replay of the measured tasks";
  SimulatedStep step = hardware != nullptr ? run.simulate(*hardware) : run.replay();
  c.predicted_step = step.seconds;
  c.measured_step = run.measured_seconds();
  c.step_seconds = run.files().step_seconds;
  c.parts = {mean_of(step.parts), run.files().parts};
  c.predicted = std::move(step.timeline);
  add_groups(c, run);
  return c;
}

int compare_with_graph(const Command& command, Terminal& terminal) {
  const std::string& folder = command.arguments.front();
  const GeneratedRun run(read_run(folder));
  std::optional<Hardware> hardware;
  if (command.has("hardware")) hardware = find_hardware(command.text("hardware"));
  const Comparison comparison = compared(run, hardware ? &*hardware : nullptr);
  const std::string json = comparison_json(comparison);
  write_file((fs::path(folder) / "compare.json").string(), json);
  const std::array<ChartSide, 2> sides{
      {{"simulated", &comparison.predicted}, {"measured", &comparison.joined.measured}}};
  const std::string page = (fs::path(folder) / "compare.html").string();
  write_file(command.text("html", page), comparison_page(comparison, step_chart(run, sides, kMostChartSpans)));
  terminal.print(command.has("json") ? json : comparison_text(comparison, terminal.style()));
  return comparison.agrees() ? exit_code::kDone : exit_code::kCheckFailed;
}

std::string layout_text(const LayoutConfig& layout) {
  return fmt::format("d={} p={} t={} {} m={}", std::max(layout.d, 1), layout.p, layout.t, layout.schedule,
                     layout.microbatches == 0 ? "auto" : std::to_string(layout.microbatches));
}

/// `chart_spans`: as many tasks of it as the page has room for; 0: there is no page.
ComparedRun divided_run(const std::string& folder, std::size_t chart_spans) {
  const GeneratedRun run(read_run(folder));
  if (const auto& missing = run.joined().not_executed; !missing.empty()) {
    throw UsageError(
        fmt::format("'{}': measured.json has no task {} of rank {}, which config.toml makes; `dmltrain "
                    "compare {}` lists all of these",
                    folder, missing.front().id, missing.front().rank, folder));
  }
  const std::vector<PathStep> path = run.critical_path(run.joined().measured);
  const ChartSide measured{"measured", &run.joined().measured};
  return {.folder = folder,
          .layout = layout_text(run.files().config.layout),
          .traced_step = run.measured_seconds(),
          .step_seconds = run.files().step_seconds,
          .kinds = path_groups(run.tasks(), path, kind_of_task),
          .operations = path_groups(
              run.tasks(), path, [&](const RankTasks& rank, const Task& task) { return run.operation_of(rank, task); }),
          .step_chart = chart_spans > 0 ? step_chart(run, std::span(&measured, 1), chart_spans) : ""};
}

int compare_runs(const Command& command, Terminal& terminal) {
  for (const char* option : {"hardware", "replay"}) {
    if (command.has(option))
      throw UsageError(
          fmt::format("compare: --{} predicts one run; several runs are compared as they were measured", option));
  }
  std::vector<ComparedRun> runs;
  const std::size_t chart_spans = command.has("html") ? kMostChartSpans / command.arguments.size() : 0;
  for (const std::string& folder : command.arguments) runs.push_back(divided_run(folder, chart_spans));
  if (command.has("html")) write_file(command.text("html"), runs_page(runs));
  terminal.print(command.has("json") ? runs_json(runs) : runs_text(runs, terminal.style()));
  if (command.has("html") && !command.has("json")) terminal.print(fmt::format("\n  wrote {}\n", command.text("html")));
  return exit_code::kDone;
}

/// A run is compared with one thing.
void check_against(const Command& command) {
  std::vector<std::string> given;
  for (const char* option : {"hardware", "replay", "trace"}) {
    if (command.has(option)) given.push_back(fmt::format("--{}", option));
  }
  if (given.size() > 1)
    throw UsageError(
        fmt::format("compare: {} compare a run with other things each: give one of them", fmt::join(given, " and ")));
}

int run_compare(const Command& command, Terminal& terminal) {
  if (command.has("trace") && command.has("html"))
    throw UsageError("compare --trace: --html is the page of runs; leave one of them out");
  check_against(command);
  if (!command.arguments.empty()) command.refuse_given("compare knows the schedule of a run: leave it out");
  if (command.has("trace")) return compare_trace(command, terminal);
  if (command.arguments.empty())
    throw UsageError("compare: name the folder of a run, or a trace by --trace FILE --schedule NAME --p P");
  return command.arguments.size() == 1 ? compare_with_graph(command, terminal) : compare_runs(command, terminal);
}

}  // namespace

CommandSpec compare_command() {
  return {
      .name = "compare",
      .arguments = "[RUN ...]",
      .summary = "generated, measured, other runs",
      .most_arguments = kMostComparedRuns,
      .reads = {"schedule", "p", "microbatches", "chunks"},
      .options = {{"hardware", "FILE|NAME", "predicts by this hardware: a file of `dmltrain calibrate` or a preset"},
                  {"replay", "",
                   "predicts by the measured seconds of the run's own tasks, which checks the simulation alone; "
                   "the default without --hardware"},
                  {"trace", "FILE|DIR",
                   "another program's trace beside the schedule of RUN, or of --schedule, --p, --microbatches: "
                   "Megatron-LM's event_times_*.json, or Chrome traces as of PyTorch's profiler",
                   true},
                  {"html", "FILE", "writes the page of several runs there (of one: RUN/compare.html)"},
                  {"json", "", "prints JSON instead of the tables"}},
      .run = run_compare};
}

}  // namespace dml
