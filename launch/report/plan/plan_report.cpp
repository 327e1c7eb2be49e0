#include "launch/report/plan/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

/// The layout's own columns, of every table.
std::vector<std::string> layout_cells(const LayoutChoice& layout) {
  return {std::to_string(layout.d),
          std::to_string(layout.p),
          std::to_string(layout.t),
          std::string(layout.schedule->name),
          std::to_string(layout.chunks),
          std::to_string(layout.microbatches),
          tensor_mode_text(layout),
          std::string(name_of(layout.techniques.recompute)),
          std::to_string(layout.techniques.zero)};
}

std::string size_of(double bytes) { return scaled_text(bytes, "B"); }

std::string percent(double part, double whole) { return fmt::format("{:.0f} %", 100 * part / whole); }

/// "2 h 10 min" for what is long.
std::string duration(double seconds) {
  constexpr double kMinute = 60;
  constexpr double kHour = 3600;
  if (seconds < 2 * kMinute) return seconds_text(seconds);
  if (seconds < 2 * kHour) return fmt::format("{:.1f} min", seconds / kMinute);
  return fmt::format("{:.1f} h", seconds / kHour);
}

/// The columns of layout_cells.
std::vector<TextTable::Column> layout_columns() {
  return {{"d"},
          {"p"},
          {"t"},
          {"schedule", Align::left},
          {"v"},
          {"m"},
          {"tensor", Align::left},
          {"recompute", Align::left},
          {"zero"}};
}

std::string best_table(const PlanReport& plan, std::size_t rows, Style style) {
  std::vector<TextTable::Column> columns = layout_columns();
  for (const char* title :
       {"step", "speed-up", "memory", "compute", "core wait", "exposed", "bubble", "moved t", "moved p", "moved d"})
    columns.push_back({title});
  if (plan.epoch_samples > 0) columns.push_back({"epoch"});
  TextTable table(std::move(columns));
  for (std::size_t i = 0; i < rows; ++i) {
    const auto& [layout, step] = plan.found.ranked[i];
    std::vector<std::string> cells = layout_cells(layout);
    cells.push_back(seconds_text(step.seconds));
    cells.push_back(fmt::format("{:.3g}", plan.speed_up(step)));
    cells.push_back(size_of(step.memory.total()));
    for (const double part : {step.parts.compute, step.parts.core_wait, step.parts.exposed_comm, step.parts.bubble})
      cells.push_back(percent(part, step.seconds));
    for (const double bytes : {step.moved.tensor, step.moved.pipeline, step.moved.gradients})
      cells.push_back(size_of(bytes));
    if (plan.epoch_samples > 0) cells.push_back(duration(plan.epoch_seconds(step)));
    table.add_row(std::move(cells));
  }
  return table.to_string(style);
}

std::string rejected_table(const PlanReport& plan, Style style) {
  std::vector<TextTable::Column> columns = layout_columns();
  columns.push_back({"not possible", Align::left});
  TextTable table(std::move(columns));
  for (const auto& [layout, why, message] : plan.found.rejected) {
    std::vector<std::string> cells = layout_cells(layout);
    cells.push_back(fmt::format("{}: {}", name_of(why), message));
    table.add_row(std::move(cells));
  }
  return table.to_string(style);
}

std::map<Obstacle, std::size_t> rejected_by_reason(const PlanReport& plan) {
  std::map<Obstacle, std::size_t> counts;
  for (const RejectedLayout& layout : plan.found.rejected) ++counts[layout.why];
  return counts;
}

std::string counts_text(const PlanReport& plan) {
  const std::size_t possible = plan.found.ranked.size();
  const std::size_t all = possible + plan.found.rejected.size();
  std::string text =
      fmt::format("{} layouts in {} ({} per second): {} possible", all, seconds_text(plan.search_seconds),
                  scaled_text(static_cast<double>(all) / plan.search_seconds), possible);
  for (const auto& [why, count] : rejected_by_reason(plan)) text += fmt::format(", {} {}", count, name_of(why));
  return text;
}

std::string memory_text(const MemoryUse& memory) {
  return fmt::format("memory of its largest rank: parameters {}, gradients {}, optimizer {}, activations {}, inputs {}",
                     size_of(memory.parameters), size_of(memory.gradients), size_of(memory.optimizer_states),
                     size_of(memory.activations), size_of(memory.inputs));
}

Json json_of(const LayoutChoice& layout) {
  return {{"d", layout.d},
          {"p", layout.p},
          {"t", layout.t},
          {"schedule", layout.schedule->name},
          {"chunks", layout.chunks},
          {"microbatches", layout.microbatches},
          {"tensor_mode", tensor_mode_text(layout)},
          {"recompute", name_of(layout.techniques.recompute)},
          {"sequence_parallel", layout.techniques.sequence_parallel},
          {"zero", layout.techniques.zero},
          {"dtype", name_of(layout.techniques.dtype)}};
}

/// The figures of a step by the names that CSV and JSON have for them.
std::vector<std::pair<std::string, double>> figures_of(const PlanReport& plan, const StepEstimate& step) {
  return {{"step_ms", step.seconds * kMsPerSecond},
          {"speed_up", plan.speed_up(step)},
          {"epoch_s", plan.epoch_seconds(step)},
          {"compute_ms", step.parts.compute * kMsPerSecond},
          {"core_wait_ms", step.parts.core_wait * kMsPerSecond},
          {"exposed_comm_ms", step.parts.exposed_comm * kMsPerSecond},
          {"bubble_ms", step.parts.bubble * kMsPerSecond},
          {"memory_bytes", step.memory.total()},
          {"parameter_bytes", step.memory.parameters},
          {"gradient_bytes", step.memory.gradients},
          {"optimizer_bytes", step.memory.optimizer_states},
          {"activation_bytes", step.memory.activations},
          {"input_bytes", step.memory.inputs},
          {"moved_tensor_bytes", step.moved.tensor},
          {"moved_pipeline_bytes", step.moved.pipeline},
          {"moved_gradient_bytes", step.moved.gradients}};
}

std::string quoted_cell(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? "\"\"" : std::string(1, c);
  return result + "\"";
}

}  // namespace

double PlanReport::epoch_seconds(const StepEstimate& step) const {
  return step.seconds * static_cast<double>(epoch_samples) / static_cast<double>(batch);
}

std::string tensor_mode_text(const LayoutChoice& layout) {
  if (layout.t == 1) return "-";
  return layout.mode == SplitMode::gather ? "gather" : "megatron";
}

std::string layout_options(const LayoutChoice& layout) {
  std::string text =
      fmt::format("--d {} --p {} --t {} --microbatches {}", layout.d, layout.p, layout.t, layout.microbatches);
  if (layout.p > 1) text += fmt::format(" --schedule {}", layout.schedule->name);
  if (layout.p > 1 && layout.schedule->any_chunks) text += fmt::format(" --chunks {}", layout.chunks);
  if (layout.t > 1) text += fmt::format(" --tensor-mode {}", tensor_mode_text(layout));
  const std::string techniques = layout.techniques.to_options();
  return techniques.empty() ? text : text + " " + techniques;
}

std::string plan_text(const PlanReport& plan, const PlanTableOptions& options, Style style) {
  std::string text = fmt::format(
      "{}\n  {}\n",
      style.heading(fmt::format("{} on {} of {}, batch {}{}", plan.model, plan.world, plan.hardware, plan.batch,
                                plan.memory_limit > 0 ? ", " + size_of(plan.memory_limit) + " each" : "")),
      counts_text(plan));
  const std::size_t possible = plan.found.ranked.size();
  const std::size_t rows = options.all ? possible : std::min(options.most_rows, possible);
  text += fmt::format("\n{}", best_table(plan, rows, style));
  if (options.all && !plan.found.rejected.empty()) text += fmt::format("\n{}", rejected_table(plan, style));
  const auto& [layout, step] = plan.found.ranked.front();
  text += fmt::format("\n  {} {}\n  {}\n", style.strong("best:"), layout_options(layout), memory_text(step.memory));
  return text;
}

std::string plan_csv(const PlanReport& plan, bool all) {
  std::string text = "d,p,t,schedule,chunks,microbatches,tensor_mode,recompute,zero";
  for (const auto& [name, figure] : figures_of(plan, StepEstimate{})) text += "," + name;
  text += ",not_possible\n";
  for (const auto& [layout, step] : plan.found.ranked) {
    text += fmt::format("{}", fmt::join(layout_cells(layout), ","));
    for (const auto& [name, figure] : figures_of(plan, step)) text += fmt::format(",{:.6g}", figure);
    text += ",\n";
  }
  if (!all) return text;
  const std::string no_figures(figures_of(plan, StepEstimate{}).size(), ',');
  for (const auto& [layout, why, message] : plan.found.rejected) {
    text += fmt::format("{}{},{}\n", fmt::join(layout_cells(layout), ","), no_figures,
                        quoted_cell(fmt::format("{}: {}", name_of(why), message)));
  }
  return text;
}

std::string plan_json(const PlanReport& plan, const PlanTableOptions& options) {
  Json json{{"version", 1},
            {"model", plan.model},
            {"hardware", plan.hardware},
            {"world", plan.world},
            {"batch", plan.batch},
            {"memory_limit_bytes", plan.memory_limit},
            {"one_device_step_ms", plan.found.one_device_seconds * kMsPerSecond},
            {"search_seconds", plan.search_seconds},
            {"possible", plan.found.ranked.size()},
            {"rejected", Json::object()},
            {"layouts", Json::array()}};
  for (const auto& [why, count] : rejected_by_reason(plan)) json["rejected"][std::string(name_of(why))] = count;
  const std::size_t possible = plan.found.ranked.size();
  for (std::size_t i = 0; i < (options.all ? possible : std::min(options.most_rows, possible)); ++i) {
    const auto& [layout, step] = plan.found.ranked[i];
    Json row = json_of(layout);
    for (const auto& [name, figure] : figures_of(plan, step)) row[name] = figure;
    json["layouts"].push_back(std::move(row));
  }
  for (const auto& [layout, why, message] : plan.found.rejected) {
    if (!options.all) break;
    Json row = json_of(layout);
    row["not_possible"] = fmt::format("{}: {}", name_of(why), message);
    json["layouts"].push_back(std::move(row));
  }
  return json.dump(2) + "\n";
}

std::string plan_page(const PlanReport& plan) {
  const std::string json = plan_json(plan, {.most_rows = plan.found.ranked.size()});
  return filled_page("plan.html", {{"plan", json_for_page(json)}});
}

}  // namespace dml
