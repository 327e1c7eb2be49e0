#include "launch/report/plan/scaling_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;
using Json = nlohmann::ordered_json;
using LayoutTest = std::function<bool(const LayoutChoice&)>;

/// The fastest layout of each world that passes the test.
ScalingLine line_of(std::span<const PlanReport> plans, const std::string& name, const LayoutTest& passes) {
  ScalingLine line{name, {}};
  for (const PlanReport& plan : plans) {
    const auto best = std::find_if(plan.found.ranked.begin(), plan.found.ranked.end(),
                                   [&](const RankedLayout& ranked) { return passes(ranked.layout); });
    if (best == plan.found.ranked.end()) continue;
    line.points.push_back({plan.world, best->layout, static_cast<double>(plan.batch) / best->estimate.seconds});
  }
  return line;
}

/// By d and m, of layouts without a pipeline: the faster tensor mode of each t.
std::vector<ScalingLine> lines_over_t(std::span<const PlanReport> plans) {
  std::map<std::pair<int, int>, ScalingLine> lines;
  for (const PlanReport& plan : plans) {
    for (const auto& [layout, estimate] : plan.found.ranked) {
      if (layout.p > 1) continue;
      ScalingLine& line = lines[{layout.d, layout.microbatches}];
      line.name = fmt::format("d={} m={}", layout.d, layout.microbatches);
      const bool has_t = std::any_of(line.points.begin(), line.points.end(),
                                     [t = layout.t](const ScalingPoint& point) { return point.layout.t == t; });
      if (!has_t) line.points.push_back({plan.world, layout, static_cast<double>(plan.batch) / estimate.seconds});
    }
  }
  std::vector<ScalingLine> result;
  for (auto& [key, line] : lines) {
    std::sort(line.points.begin(), line.points.end(),
              [](const ScalingPoint& a, const ScalingPoint& b) { return a.layout.t < b.layout.t; });
    if (line.points.size() > 1) result.push_back(std::move(line));
  }
  return result;
}

std::string rate(double samples_per_s) { return scaled_text(samples_per_s); }

/// A row for each line, a column for each number of ranks or of t.
std::string lines_table(const char* title, std::span<const ScalingLine> lines,
                        const std::function<int(const ScalingPoint&)>& number_of, Style style) {
  std::map<int, std::size_t> column_of;
  for (const ScalingLine& line : lines) {
    for (const ScalingPoint& point : line.points) column_of[number_of(point)] = 0;
  }
  std::vector<TextTable::Column> columns{{title, Align::left}};
  for (auto& [number, column] : column_of) {
    column = columns.size();
    columns.push_back({std::to_string(number)});
  }
  TextTable table(std::move(columns));
  for (const ScalingLine& line : lines) {
    std::vector<std::string> row(column_of.size() + 1);
    row.front() = line.name;
    for (const ScalingPoint& point : line.points) row[column_of.at(number_of(point))] = rate(point.samples_per_s);
    table.add_row(std::move(row));
  }
  return table.to_string(style);
}

std::string best_layouts(const ScalingReport& report, Style style) {
  TextTable table({{"ranks"}, {"samples/s"}, {"of linear"}, {"best layout", Align::left}});
  for (const ScalingPoint& point : report.by_axis.back().points) {
    table.add_row({std::to_string(point.world), rate(point.samples_per_s),
                   fmt::format("{:.0f} %", 100 * point.samples_per_s / (report.one_device * point.world)),
                   layout_options(point.layout)});
  }
  return table.to_string(style);
}

Json json_of(std::span<const ScalingLine> lines) {
  Json json = Json::array();
  for (const ScalingLine& line : lines) {
    Json points = Json::array();
    for (const ScalingPoint& point : line.points) {
      points.push_back({{"world", point.world},
                        {"d", point.layout.d},
                        {"p", point.layout.p},
                        {"t", point.layout.t},
                        {"samples_per_s", point.samples_per_s},
                        {"options", layout_options(point.layout)}});
    }
    json.push_back({{"name", line.name}, {"points", std::move(points)}});
  }
  return json;
}

}  // namespace

ScalingReport scaling_of(std::span<const PlanReport> plans) {
  ScalingReport report;
  report.model = plans.front().model;
  report.hardware = plans.front().hardware;
  report.batch = plans.front().batch;
  report.one_device = static_cast<double>(report.batch) / plans.front().found.one_device_seconds;
  for (const PlanReport& plan : plans) report.worlds.push_back(plan.world);
  report.by_axis = {line_of(plans, "d alone", [](const LayoutChoice& l) { return l.p == 1 && l.t == 1; }),
                    line_of(plans, "p alone", [](const LayoutChoice& l) { return l.d == 1 && l.t == 1; }),
                    line_of(plans, "t alone", [](const LayoutChoice& l) { return l.d == 1 && l.p == 1; }),
                    line_of(plans, "together", [](const LayoutChoice&) { return true; })};
  report.over_t = lines_over_t(plans);
  return report;
}

std::string scaling_text(const ScalingReport& report, Style style) {
  std::string text = style.heading(fmt::format("{} on {}, batch {}: samples/s, predicted", report.model,
                                               report.hardware, report.batch)) +
                     "\n" +
                     lines_table(
                         "ranks", report.by_axis, [](const ScalingPoint& p) { return p.world; }, style) +
                     "\n" + best_layouts(report, style);
  if (report.over_t.empty()) return text;
  return text + "\n" + style.heading("Over t") + "\n" +
         lines_table(
             "t", report.over_t, [](const ScalingPoint& p) { return p.layout.t; }, style);
}

std::string scaling_csv(const ScalingReport& report) {
  std::string text = "line,ranks,d,p,t,microbatches,samples_per_s,options\n";
  for (const auto* lines : {&report.by_axis, &report.over_t}) {
    for (const ScalingLine& line : *lines) {
      for (const ScalingPoint& point : line.points) {
        const LayoutChoice& at = point.layout;
        text += fmt::format("{},{},{},{},{},{},{:.6g},{}\n", line.name, point.world, at.d, at.p, at.t, at.microbatches,
                            point.samples_per_s, layout_options(at));
      }
    }
  }
  return text;
}

std::string scaling_json(const ScalingReport& report) {
  return Json{{"version", 1},
              {"model", report.model},
              {"hardware", report.hardware},
              {"batch", report.batch},
              {"worlds", report.worlds},
              {"one_device_samples_per_s", report.one_device},
              {"by_axis", json_of(report.by_axis)},
              {"over_t", json_of(report.over_t)}}
             .dump(1) +
         "\n";
}

std::string scaling_page(const ScalingReport& report) {
  return filled_page("scaling.html", {{"scaling", json_for_page(scaling_json(report))}});
}

}  // namespace dml
