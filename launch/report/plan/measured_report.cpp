#include "launch/report/plan/measured_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/report/compare/quantile.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;
using Json = nlohmann::ordered_json;

std::size_t fastest(std::span<const MeasuredLayout> layouts) {
  const auto by_median = [](const MeasuredLayout& a, const MeasuredLayout& b) { return a.median() < b.median(); };
  return static_cast<std::size_t>(std::min_element(layouts.begin(), layouts.end(), by_median) - layouts.begin());
}

std::string in_ms(double seconds) { return fmt::format("{:.3f}", seconds * kMsPerSecond); }

}  // namespace

double MeasuredLayout::median() const { return quantile(step_seconds, 0.5); }

double regret_of(std::span<const MeasuredLayout> layouts) {
  const double best = layouts[fastest(layouts)].median();
  return best > 0 ? layouts.front().median() / best - 1 : 0;
}

std::string measured_text(const PlanReport& plan, std::span<const MeasuredLayout> layouts, Style style) {
  TextTable table(
      {{"layout", Align::left}, {"predicted ms"}, {"measured ms"}, {"10 to 90 %"}, {"error"}, {"to the best"}});
  const std::size_t best = fastest(layouts);
  for (const MeasuredLayout& layout : layouts) {
    const double predicted = layout.ranked.estimate.seconds, measured = layout.median();
    table.add_row(
        {layout_options(layout.ranked.layout), in_ms(predicted), in_ms(measured),
         fmt::format("{} to {}", in_ms(quantile(layout.step_seconds, 0.1)), in_ms(quantile(layout.step_seconds, 0.9))),
         fmt::format("{:+.1f} %", 100 * (predicted / measured - 1)),
         fmt::format("{:+.1f} %", 100 * (measured / layouts[best].median() - 1))});
  }
  return fmt::format(
      "{}\n{}\n  regret {:.1f} %: the layout predicted to be the best, against the fastest of these\n  {} {}\n",
      style.heading(fmt::format("{} on {} ranks, batch {}: predicted by {}, measured here", plan.model, plan.world,
                                plan.batch, plan.hardware)),
      table.to_string(style), 100 * regret_of(layouts), style.strong("fastest:"),
      layout_options(layouts[best].ranked.layout));
}

std::string measured_json(const PlanReport& plan, std::span<const MeasuredLayout> layouts) {
  Json json{
      {"version", 1},        {"model", plan.model},          {"hardware", plan.hardware}, {"world", plan.world},
      {"batch", plan.batch}, {"regret", regret_of(layouts)}, {"best", fastest(layouts)},  {"layouts", Json::array()}};
  for (const MeasuredLayout& layout : layouts) {
    json["layouts"].push_back({{"options", layout_options(layout.ranked.layout)},
                               {"predicted_ms", layout.ranked.estimate.seconds * kMsPerSecond},
                               {"measured_ms", layout.median() * kMsPerSecond},
                               {"p10_ms", quantile(layout.step_seconds, 0.1) * kMsPerSecond},
                               {"p90_ms", quantile(layout.step_seconds, 0.9) * kMsPerSecond}});
  }
  return json.dump(1) + "\n";
}

}  // namespace dml
