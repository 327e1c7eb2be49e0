#include "launch/report/simulate/schedule_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/report/gantt.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;
using Json = nlohmann::ordered_json;

std::string percent_text(double part) { return fmt::format("{:.2f} %", 100 * part); }

std::string comparison(std::span<const SimulatedSchedule> schedules, Style style) {
  double best = schedules.front().times.cost;
  for (const SimulatedSchedule& one : schedules) best = std::min(best, one.times.cost);
  TextTable table({{"schedule", Align::left},
                   {"stages"},
                   {"microbatches"},
                   {"makespan"},
                   {"step"},
                   {"bubble"},
                   {"efficiency"},
                   {"peak memory"}});
  for (const SimulatedSchedule& one : schedules) {
    const ScheduleTimes& t = one.times;
    table.add_row({one.name, std::to_string(one.pipeline.placement.num_stages()),
                   std::to_string(one.pipeline.microbatches), number_text(t.makespan), number_text(t.cost),
                   percent_text(t.bubble_rate), percent_text(t.cost > 0 ? best / t.cost : 1),
                   number_text(one.peak_memory())});
  }
  return table.to_string(style);
}

std::string devices(const SimulatedSchedule& schedule, Style style) {
  TextTable table({{"device"}, {"busy"}, {"waits"}, {"of makespan"}, {"peak memory"}});
  for (std::size_t i = 0; i < schedule.times.positions.size(); ++i) {
    const PositionTimes& position = schedule.times.positions[i];
    const double makespan = schedule.times.makespan;
    const double waits = makespan - position.busy;
    table.add_row({std::to_string(i), number_text(position.busy), number_text(waits),
                   percent_text(makespan > 0 ? waits / makespan : 0), number_text(position.peak_memory)});
  }
  return table.to_string(style);
}

Json json_of(const SimulatedSchedule& schedule) {
  const ScheduleTimes& times = schedule.times;
  Json json{{"schedule", schedule.name},
            {"stages", schedule.pipeline.placement.num_stages()},
            {"microbatches", schedule.pipeline.microbatches},
            {"makespan", times.makespan},
            {"cost", times.cost},
            {"bubble_rate", times.bubble_rate},
            {"peak_memory", schedule.peak_memory()},
            {"devices", Json::array()}};
  for (std::size_t i = 0; i < times.positions.size(); ++i) {
    const PositionTimes& position = times.positions[i];
    json["devices"].push_back({{"device", i},
                               {"busy", position.busy},
                               {"bubble", times.makespan - position.busy},
                               {"first_start", position.first_start},
                               {"last_end", position.last_end},
                               {"peak_memory", position.peak_memory}});
  }
  return json;
}

}  // namespace

double SimulatedSchedule::peak_memory() const {
  double peak = 0;
  for (const PositionTimes& position : times.positions) peak = std::max(peak, position.peak_memory);
  return peak;
}

std::string schedule_text(std::span<const SimulatedSchedule> schedules, int width, Style style) {
  double duration = 0;
  for (const SimulatedSchedule& one : schedules) duration = std::max(duration, one.times.makespan);
  std::string text;
  for (const SimulatedSchedule& one : schedules) {
    text += fmt::format("{}\n{}\n", style.heading(one.name), gantt_text(one.times, duration, width, style));
  }
  text += gantt_legend(style) + "\n";
  if (schedules.size() == 1) text += devices(schedules.front(), style) + "\n";
  return text + comparison(schedules, style);
}

std::string schedule_json(std::span<const SimulatedSchedule> schedules) {
  if (schedules.size() == 1) return json_of(schedules.front()).dump(1) + "\n";
  Json all{{"schedules", Json::array()}};
  for (const SimulatedSchedule& one : schedules) all["schedules"].push_back(json_of(one));
  return all.dump(1) + "\n";
}

}  // namespace dml
