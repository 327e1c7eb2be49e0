#include "launch/commands/compare/compare_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>

#include "launch/commands/compare/generated_run.h"
#include "launch/failure.h"
#include "launch/report/compare/trace_report.h"
#include "launch/terminal/terminal.h"
#include "launch/trace/rank_trace.h"
#include "runtime/model/partition_options.h"

namespace dml {
namespace {

constexpr int kTraceWidth = 100;  // where the terminal has none
constexpr int kMostTracedPositions = 4096;
constexpr int kMostTracedPasses = 10'000'000;

/// The schedule that a trace is to follow.
struct WantedSchedule {
  std::string name;
  Pipeline pipeline;
  OrdersOf orders;
};

WantedSchedule schedule_of_file(const std::string& path) {
  const ParsedSchedule file = read_schedule(path);
  Pipeline pipeline{.placement = file.placement, .microbatches = file.microbatches};
  return {path, std::move(pipeline), [orders = file.orders](const Pipeline&) { return orders; }};
}

WantedSchedule wanted_schedule(const LayoutConfig& layout, int microbatches) {
  if (layout.schedule.starts_with(kScheduleFile)) return schedule_of_file(layout.schedule.substr(kScheduleFile.size()));
  const ScheduleDef& schedule = find_schedule(layout.schedule);
  if (schedule.copies > 1)
    throw UsageError(fmt::format("compare: {} keeps two copies of the model; its traces are not read", schedule.name));
  const int chunks = schedule.any_chunks && layout.chunks > 0 ? layout.chunks : schedule.chunks;
  if (layout.p > kMostTracedPositions || microbatches > kMostTracedPasses / layout.p / chunks) {
    throw UsageError(
        fmt::format("compare: {} microbatches on {} positions are more passes than are read", microbatches, layout.p));
  }
  Pipeline pipeline{.placement = Placement(layout.p, chunks, schedule.placement), .microbatches = microbatches};
  return {layout.schedule, std::move(pipeline), schedule.orders};
}

/// Microbatches are counted from 0 or from 1.
int traced_microbatches(const std::vector<RankTrace>& traces) {
  int least = 1, most = 0;
  for (const RankTrace& trace : traces) {
    for (const TracedPass& pass : trace.passes) {
      least = std::min(least, pass.name.microbatch);
      most = std::max(most, pass.name.microbatch);
    }
  }
  return most + 1 - least;
}

Mesh mesh_of(const LayoutConfig& layout) { return Mesh(std::max(layout.d, 1), layout.p, layout.t, layout.order); }

/// The passes of a run's own tasks, by the first rank of each position.
std::vector<TimedAction> passes_of_run(const GeneratedRun& run) {
  std::map<PassName, TimedAction> passes;
  for (const Span& span : run.joined().measured.spans) {
    const Task& task = run.tasks()[static_cast<std::size_t>(span.rank)].tasks[static_cast<std::size_t>(span.task)];
    const Coordinate at = run.mesh().coordinate(span.rank);
    if (at.d != 0 || at.t != 0 || task.queue != QueueId::compute || task.id.phase == Phase::update || span.start < 0)
      continue;
    const PassName name{.phase = task.id.phase, .microbatch = task.id.microbatch, .stage = task.id.stage};
    const Action action{.phase = name.phase, .stage = task.id.stage, .microbatch = name.microbatch};
    TimedAction& pass = passes.try_emplace(name, TimedAction{action, at.p, span.start, span.end}).first->second;
    pass.start = std::min(pass.start, span.start);
    pass.end = std::max(pass.end, span.end);
  }
  std::vector<TimedAction> all;
  for (const auto& [name, pass] : passes) all.push_back(pass);
  return all;
}

std::map<int, std::map<std::string, double>> kernels_of(const std::vector<RankTrace>& traces, const Mesh& mesh) {
  std::map<int, std::map<std::string, double>> kernels;
  for (const RankTrace& trace : traces) {
    if (trace.kernels.empty() || trace.rank < 0) continue;
    kernels.try_emplace(mesh.coordinate(trace.rank).p, trace.kernels);
  }
  return kernels;
}

TraceReport traced(const std::string& named, const std::vector<RankTrace>& traces, const LayoutConfig& layout,
                   int microbatches) {
  try {
    const WantedSchedule wanted = wanted_schedule(layout, microbatches);
    const Mesh mesh = mesh_of(layout);
    MeasuredSchedule found =
        measure_schedule(passes_of_step(traces, mesh, wanted.pipeline.placement), wanted.pipeline, wanted.orders);
    return {.trace = named, .schedule = wanted.name, .found = std::move(found), .kernels = kernels_of(traces, mesh)};
  } catch (const std::invalid_argument& error) {
    throw UsageError(fmt::format("--trace {}: {} (schedule {}, --p {}, --microbatches {})", named, error.what(),
                                 layout.schedule, layout.p, microbatches));
  }
}

}  // namespace

int compare_trace(const Command& command, Terminal& terminal) {
  if (command.arguments.size() > 1)
    throw UsageError(fmt::format("compare: a trace is set beside one run, not {}", command.arguments.size()));
  const std::vector<std::string>& paths = command.own.find("trace")->second;
  const std::vector<RankTrace> traces = read_traces(paths);
  std::optional<GeneratedRun> run;
  if (!command.arguments.empty()) run.emplace(read_run(command.arguments.front()));
  const LayoutConfig& layout = run ? run->files().config.layout : command.config.layout;
  const int given = run ? run->microbatches() : layout.microbatches;
  const int microbatches = given > 0 ? given : traced_microbatches(traces);
  TraceReport report = traced(paths.front(), traces, layout, microbatches);
  if (run) {
    report.run = run->files().folder;
    const WantedSchedule wanted = wanted_schedule(layout, microbatches);
    report.of_run = measure_schedule(passes_of_run(*run), wanted.pipeline, wanted.orders);
  }
  const int width = terminal.width() > 0 ? terminal.width() : kTraceWidth;
  terminal.print(command.has("json") ? trace_json(report) : trace_text(report, width, terminal.style()));
  return report.agrees() ? exit_code::kDone : exit_code::kCheckFailed;
}

}  // namespace dml
