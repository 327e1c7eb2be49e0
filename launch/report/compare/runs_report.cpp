#include "launch/report/compare/runs_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "launch/report/compare/quantile.h"
#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;
using GroupsOfRun = std::vector<PathGroup> ComparedRun::*;

/// Seconds of a group on each run's critical path; 0 where a path has none of it.
struct GroupRow {
  std::string name;
  std::vector<double> seconds;

  double difference(std::size_t run) const { return seconds[run] - seconds.front(); }
  double largest_difference() const {
    double largest = 0;
    for (std::size_t run = 1; run < seconds.size(); ++run) largest = std::max(largest, std::abs(difference(run)));
    return largest;
  }
};

std::vector<GroupRow> rows_of(std::span<const ComparedRun> runs, GroupsOfRun groups) {
  std::map<std::string, GroupRow> by_name;
  for (std::size_t run = 0; run < runs.size(); ++run) {
    for (const PathGroup& group : runs[run].*groups) {
      GroupRow& row = by_name[group.name];
      row.seconds.resize(runs.size());
      row.seconds[run] = group.seconds;
    }
  }
  std::vector<GroupRow> rows;
  for (auto& [name, row] : by_name) {
    row.name = name;
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const GroupRow& a, const GroupRow& b) {
    return a.largest_difference() > b.largest_difference();
  });
  return rows;
}

char letter_of_run(std::size_t run) { return static_cast<char>('A' + run); }

std::string milliseconds(double seconds) { return fmt::format("{:.3f}", seconds * kMsPerSecond); }

std::string list_of_runs(std::span<const ComparedRun> runs, Style style) {
  TextTable table({{""},
                   {"run", Align::left},
                   {"layout", Align::left},
                   {"traced step ms"},
                   {"median ms"},
                   {"10 to 90 %", Align::right}});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ComparedRun& run = runs[i];
    table.add_row({std::string(1, letter_of_run(i)), run.folder, run.layout, milliseconds(run.traced_step),
                   milliseconds(quantile(run.step_seconds, 0.5)),
                   fmt::format("{:.1f} to {:.1f}", quantile(run.step_seconds, 0.1) * kMsPerSecond,
                               quantile(run.step_seconds, 0.9) * kMsPerSecond)});
  }
  return table.to_string(style);
}

std::vector<std::string> cells_of(const GroupRow& row) {
  std::vector<std::string> cells{row.name};
  for (const double seconds : row.seconds) cells.push_back(milliseconds(seconds));
  for (std::size_t run = 1; run < row.seconds.size(); ++run)
    cells.push_back(fmt::format("{:+.3f}", row.difference(run) * kMsPerSecond));
  return cells;
}

std::string groups_text(const char* title, std::span<const ComparedRun> runs, GroupsOfRun groups, Style style) {
  std::vector<TextTable::Column> columns{{title, Align::left}};
  for (std::size_t run = 0; run < runs.size(); ++run) columns.push_back({fmt::format("{} ms", letter_of_run(run))});
  for (std::size_t run = 1; run < runs.size(); ++run) columns.push_back({fmt::format("{} - A", letter_of_run(run))});
  TextTable table(std::move(columns));
  for (const GroupRow& row : rows_of(runs, groups)) table.add_row(cells_of(row));
  GroupRow sum{"the step", {}};
  for (const ComparedRun& run : runs) sum.seconds.push_back(run.traced_step);
  table.add_row(cells_of(sum));
  return table.to_string(style);
}

Json groups_json(std::span<const ComparedRun> runs, GroupsOfRun groups) {
  Json json = Json::array();
  for (const GroupRow& row : rows_of(runs, groups)) {
    Json times = Json::array(), differences = Json::array();
    for (std::size_t run = 0; run < runs.size(); ++run) {
      times.push_back(row.seconds[run] * kMsPerSecond);
      differences.push_back(row.difference(run) * kMsPerSecond);
    }
    json.push_back({{"name", row.name}, {"ms", std::move(times)}, {"difference_ms", std::move(differences)}});
  }
  return json;
}

}  // namespace

std::string runs_text(std::span<const ComparedRun> runs, Style style) {
  return style.heading("Runs beside each other") + "\n" + list_of_runs(runs, style) + "\n" +
         style.heading("Their critical paths, by kind of task") + "\n" +
         groups_text("kind", runs, &ComparedRun::kinds, style) + "\n" + style.heading("The same by operation") + "\n" +
         groups_text("operation", runs, &ComparedRun::operations, style);
}

std::string runs_json(std::span<const ComparedRun> runs) {
  Json json{{"version", 1}, {"runs", Json::array()}};
  for (const ComparedRun& run : runs) {
    json["runs"].push_back({{"run", run.folder},
                            {"layout", run.layout},
                            {"traced_step_ms", run.traced_step * kMsPerSecond},
                            {"median_step_ms", quantile(run.step_seconds, 0.5) * kMsPerSecond},
                            {"p10_step_ms", quantile(run.step_seconds, 0.1) * kMsPerSecond},
                            {"p90_step_ms", quantile(run.step_seconds, 0.9) * kMsPerSecond}});
  }
  json["kinds"] = groups_json(runs, &ComparedRun::kinds);
  json["operations"] = groups_json(runs, &ComparedRun::operations);
  return json.dump(1) + "\n";
}

std::string runs_page(std::span<const ComparedRun> runs) {
  std::string charts;
  for (const ComparedRun& run : runs) charts += (charts.empty() ? "[" : ",") + run.step_chart;
  return filled_page("runs.html",
                     {{"compared", json_for_page(runs_json(runs))}, {"steps", json_for_page(charts + "]")}});
}

}  // namespace dml
