#include "launch/report/compare/compare_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/report/compare/quantile.h"
#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

constexpr std::size_t kShownUnmatched = 5;

std::string ms(double seconds) { return fmt::format("{:.3f}", seconds * kMsPerSecond); }

/// Predicted over measured, as what is too much or too little.
std::string error_of(double predicted, double measured) {
  return measured > 0 ? fmt::format("{:+.1f} %", 100 * (predicted / measured - 1)) : "";
}

struct NamedPart {
  const char* name;
  double StepParts::*part;
};
constexpr NamedPart kParts[] = {{"compute", &StepParts::compute},
                                {"core wait", &StepParts::core_wait},
                                {"exposed comm", &StepParts::exposed_comm},
                                {"bubble", &StepParts::bubble}};

TextTable pair_table(const std::string& title, bool counted) {
  std::vector<TextTable::Column> columns{{title, Align::left}};
  if (counted) columns.push_back({"tasks"});
  for (const char* name : {"predicted ms", "measured ms", "error"}) columns.push_back({name});
  return TextTable(std::move(columns));
}

std::string groups_table(const std::string& title, const std::vector<ComparedGroup>& groups, Style style) {
  TextTable table = pair_table(title, true);
  for (const ComparedGroup& g : groups) {
    table.add_row(
        {g.name, std::to_string(g.count), ms(g.predicted), ms(g.measured), error_of(g.predicted, g.measured)});
  }
  return table.to_string(style) + "\n";
}

std::string parts_table(const Comparison& c, Style style) {
  TextTable table = pair_table("mean of the ranks", false);
  for (const auto& [name, part] : kParts) {
    const double predicted = c.parts.predicted.*part, measured = c.parts.measured.*part;
    table.add_row({name, ms(predicted), ms(measured), error_of(predicted, measured)});
  }
  return table.to_string(style) + "\n";
}

std::string path_table(const Comparison& c, Style style) {
  TextTable table = pair_table("critical path", false);
  for (const PathShare& share : c.path)
    table.add_row({share.what, ms(share.predicted), ms(share.measured), error_of(share.predicted, share.measured)});
  return table.to_string(style) + "\n";
}

std::string outliers_table(const Comparison& c, Style style) {
  TextTable table({{"rank"}, {"task", Align::left}, {"name", Align::left}, {"predicted ms"}, {"measured ms"}});
  for (const auto& [task, id, name] : c.outliers)
    table.add_row({std::to_string(task.rank), id, name, ms(task.predicted), ms(task.measured)});
  return style.heading("The tasks that differ most") + "\n" + table.to_string(style) + "\n";
}

std::string unmatched(const std::string& what, const std::vector<UnmatchedTask>& tasks) {
  std::string text;
  for (std::size_t i = 0; i < std::min(tasks.size(), kShownUnmatched); ++i)
    text += fmt::format("  {}: rank {} {}\n", what, tasks[i].rank, tasks[i].id);
  if (tasks.size() > kShownUnmatched) text += fmt::format("  {}: {} more\n", what, tasks.size() - kShownUnmatched);
  return text;
}

Json json_of(const std::vector<ComparedGroup>& groups) {
  Json json = Json::array();
  for (const ComparedGroup& g : groups) {
    json.push_back({{"name", g.name},
                    {"tasks", g.count},
                    {"predicted_ms", g.predicted * kMsPerSecond},
                    {"measured_ms", g.measured * kMsPerSecond}});
  }
  return json;
}

Json json_of(const std::vector<UnmatchedTask>& tasks) {
  Json json = Json::array();
  for (const UnmatchedTask& task : tasks) json.push_back({{"rank", task.rank}, {"id", task.id}});
  return json;
}

}  // namespace

std::string comparison_text(const Comparison& c, Style style) {
  std::string text = fmt::format("{} {}\n\n", style.heading("Generated and measured:"), c.run);
  text += fmt::format("  {} tasks generated, {} of them executed, {} executed that were not generated\n",
                      c.num_generated, c.num_generated - c.joined.not_executed.size(), c.joined.not_generated.size());
  text += unmatched("not executed", c.joined.not_executed) + unmatched("not generated", c.joined.not_generated);
  text += fmt::format("  single compute tasks are predicted {:.0f} % off, in the mean weighted by time\n",
                      100 * c.task_error);
  text += fmt::format(
      "  step  predicted {} ms ({}), measured {} ms ({}); the run's steps {} ms, 10 to 90 %: {} to {} ms\n\n",
      ms(c.predicted_step), c.by, ms(c.measured_step), error_of(c.predicted_step, c.measured_step),
      ms(quantile(c.step_seconds, 0.5)), ms(quantile(c.step_seconds, 0.1)), ms(quantile(c.step_seconds, 0.9)));
  text += parts_table(c, style) + groups_table("kind, per rank", c.kinds, style) +
          groups_table("operation, per rank", c.families, style) + path_table(c, style) + outliers_table(c, style);
  text.pop_back();
  return text;
}

std::string comparison_json(const Comparison& c) {
  Json json{{"version", 1},
            {"run", c.run},
            {"by", c.by},
            {"tasks", c.num_generated},
            {"not_executed", json_of(c.joined.not_executed)},
            {"not_generated", json_of(c.joined.not_generated)},
            {"predicted_step_ms", c.predicted_step * kMsPerSecond},
            {"measured_step_ms", c.measured_step * kMsPerSecond},
            {"median_step_ms", quantile(c.step_seconds, 0.5) * kMsPerSecond},
            {"task_error", c.task_error},
            {"parts", Json::array()},
            {"kinds", json_of(c.kinds)},
            {"operations", json_of(c.families)},
            {"critical_path", Json::array()},
            {"largest_differences", Json::array()}};
  for (const auto& [name, part] : kParts) {
    json["parts"].push_back({{"name", name},
                             {"predicted_ms", c.parts.predicted.*part * kMsPerSecond},
                             {"measured_ms", c.parts.measured.*part * kMsPerSecond}});
  }
  for (const PathShare& share : c.path) {
    json["critical_path"].push_back({{"name", share.what},
                                     {"predicted_ms", share.predicted * kMsPerSecond},
                                     {"measured_ms", share.measured * kMsPerSecond}});
  }
  for (const auto& [task, id, name] : c.outliers) {
    json["largest_differences"].push_back({{"rank", task.rank},
                                           {"id", id},
                                           {"name", name},
                                           {"predicted_ms", task.predicted * kMsPerSecond},
                                           {"measured_ms", task.measured * kMsPerSecond}});
  }
  return json.dump(1) + "\n";
}

std::string comparison_page(const Comparison& comparison, const std::string& step_chart) {
  return filled_page("compare.html",
                     {{"comparison", json_for_page(comparison_json(comparison))}, {"step", json_for_page(step_chart)}});
}

}  // namespace dml
