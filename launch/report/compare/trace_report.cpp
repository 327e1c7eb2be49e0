#include "launch/report/compare/trace_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "launch/report/gantt.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;
using Json = nlohmann::ordered_json;

std::string ms_text(double seconds) { return fmt::format("{:.3f}", seconds * kMsPerSecond); }
std::string share_text(double part) { return fmt::format("{:.1f} %", 100 * part); }
double error_in(const MeasuredSchedule& found) {
  return found.measured.cost > 0 ? found.simulated.cost / found.measured.cost - 1 : 0;
}

std::string head(const TraceReport& report) {
  const MeasuredSchedule& found = report.found;
  std::string text = fmt::format(
      "  {}, {} stages on {} positions, {} microbatches\n"
      "  step  measured {} ms, the schedule with these times {} ms ({:+.1f} %); bubble {}, the schedule's {}\n",
      report.schedule, found.pipeline.placement.num_stages(), found.pipeline.placement.num_positions(),
      found.pipeline.microbatches, ms_text(found.measured.cost), ms_text(found.simulated.cost), 100 * error_in(found),
      share_text(found.measured.bubble_rate), share_text(found.simulated.bubble_rate));
  if (found.clock_difference > 0) {
    text += fmt::format("  clocks of the ranks differ: a pass begins {} ms before its input is there\n",
                        ms_text(found.clock_difference));
  }
  for (const OrderDifference& other : found.reordered) {
    text += fmt::format("  another order: pass {} of position {} is {}, the schedule's is {}\n", other.place + 1,
                        other.position, other.measured.to_string(), other.scheduled.to_string());
  }
  return text;
}

std::string charts(const TraceReport& report, int width, Style style) {
  double duration = std::max(report.found.measured.makespan, report.found.simulated.makespan);
  if (report.of_run) duration = std::max(duration, report.of_run->measured.makespan);
  const auto chart = [&](const std::string& title, const ScheduleTimes& times) {
    return fmt::format("{}\n{}\n", style.heading(title), gantt_text(times, duration, width, style));
  };
  std::string text = chart("Measured", report.found.measured) + chart("The schedule", report.found.simulated);
  if (report.of_run) text += chart("Run " + report.run, report.of_run->measured);
  return text + gantt_legend(style) + "\n";
}

/// Medians; a backward pass that is one counts as input gradients.
std::string stage_table(const TraceReport& report, Style style) {
  std::vector<TextTable::Column> columns{{"stage"}, {"position"}, {"F ms"}, {"B ms"}, {"W ms"}};
  if (report.of_run) columns.insert(columns.end(), {{"run's F"}, {"run's B"}, {"run's W"}});
  TextTable table(std::move(columns));
  const Pipeline& pipeline = report.found.pipeline;
  for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
    std::vector<std::string> row{std::to_string(stage), std::to_string(pipeline.placement.position(stage))};
    const auto add = [&](const StageCost& cost) {
      for (const double seconds : {cost.forward, cost.input_grad, cost.weight_grad}) row.push_back(ms_text(seconds));
    };
    add(pipeline.cost(stage));
    if (report.of_run) add(report.of_run->pipeline.cost(stage));
    table.add_row(std::move(row));
  }
  return table.to_string(style);
}

std::string position_table(const MeasuredSchedule& found, Style style) {
  TextTable table({{"position"}, {"busy ms"}, {"waits ms"}, {"of the step"}, {"the schedule's wait ms"}});
  for (std::size_t i = 0; i < found.measured.positions.size(); ++i) {
    const double busy = found.measured.positions[i].busy, waits = found.measured.cost - busy;
    table.add_row({std::to_string(i), ms_text(busy), ms_text(waits),
                   share_text(found.measured.cost > 0 ? waits / found.measured.cost : 0),
                   ms_text(found.simulated.cost - found.simulated.positions[i].busy)});
  }
  return table.to_string(style);
}

std::string kernel_table(const TraceReport& report, Style style) {
  std::set<std::string> kinds;
  for (const auto& [position, kernels] : report.kernels) {
    for (const auto& [kind, seconds] : kernels) kinds.insert(kind);
  }
  std::vector<TextTable::Column> columns{{"position"}};
  for (const std::string& kind : kinds) columns.push_back({kind + " ms"});
  TextTable table(std::move(columns));
  for (const auto& [position, kernels] : report.kernels) {
    std::vector<std::string> row{std::to_string(position)};
    for (const std::string& kind : kinds) row.push_back(kernels.contains(kind) ? ms_text(kernels.at(kind)) : "");
    table.add_row(std::move(row));
  }
  return style.heading("Kernels, all that was traced") + "\n" + table.to_string(style);
}

Json times_json(const ScheduleTimes& times) {
  Json json{{"step_ms", times.cost * kMsPerSecond},
            {"makespan_ms", times.makespan * kMsPerSecond},
            {"bubble_rate", times.bubble_rate},
            {"positions", Json::array()},
            {"passes", Json::array()}};
  for (const PositionTimes& position : times.positions)
    json["positions"].push_back({{"busy_ms", position.busy * kMsPerSecond}});
  for (const TimedAction& pass : times.actions) {
    json["passes"].push_back({{"pass", pass.action.to_string()},
                              {"position", pass.position},
                              {"start_ms", pass.start * kMsPerSecond},
                              {"end_ms", pass.end * kMsPerSecond}});
  }
  return json;
}

Json stages_json(const Pipeline& pipeline) {
  Json json = Json::array();
  for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
    const StageCost cost = pipeline.cost(stage);
    json.push_back({{"stage", stage},
                    {"position", pipeline.placement.position(stage)},
                    {"forward_ms", cost.forward * kMsPerSecond},
                    {"backward_ms", cost.input_grad * kMsPerSecond},
                    {"weight_ms", cost.weight_grad * kMsPerSecond}});
  }
  return json;
}

}  // namespace

std::string trace_text(const TraceReport& report, int width, Style style) {
  std::string text = fmt::format("{} {}\n\n{}\n", style.heading("Trace and schedule:"), report.trace, head(report)) +
                     charts(report, width, style) + stage_table(report, style) + "\n" +
                     position_table(report.found, style);
  if (!report.kernels.empty()) text += "\n" + kernel_table(report, style);
  return text;
}

std::string trace_json(const TraceReport& report) {
  const MeasuredSchedule& found = report.found;
  Json json{{"version", 1},
            {"trace", report.trace},
            {"schedule", report.schedule},
            {"microbatches", found.pipeline.microbatches},
            {"transfer_ms", found.pipeline.latency * kMsPerSecond},
            {"clock_difference_ms", found.clock_difference * kMsPerSecond},
            {"stages", stages_json(found.pipeline)},
            {"measured", times_json(found.measured)},
            {"simulated", times_json(found.simulated)},
            {"other_order", Json::array()},
            {"kernels", Json::array()}};
  for (const OrderDifference& other : found.reordered) {
    json["other_order"].push_back({{"position", other.position},
                                   {"place", other.place},
                                   {"measured", other.measured.to_string()},
                                   {"scheduled", other.scheduled.to_string()}});
  }
  for (const auto& [position, kernels] : report.kernels) {
    Json row{{"position", position}};
    for (const auto& [kind, seconds] : kernels) row[kind + " ms"] = seconds * kMsPerSecond;
    json["kernels"].push_back(std::move(row));
  }
  if (report.of_run) {
    json["run"] = {{"run", report.run},
                   {"stages", stages_json(report.of_run->pipeline)},
                   {"measured", times_json(report.of_run->measured)}};
  }
  return json.dump(1) + "\n";
}

}  // namespace dml
