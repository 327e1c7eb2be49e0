#include "launch/report/simulate/schedule_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/report/page/page_file.h"
#include "parallel/pipeline/actions.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const StageCost& cost) {
  return {{"forward", cost.forward},       {"input_grad", cost.input_grad},   {"weight_grad", cost.weight_grad},
          {"overlapped", cost.overlapped}, {"activations", cost.activations}, {"weight_inputs", cost.weight_inputs}};
}

Json json_of(const PipelineSettings& settings) {
  Json json{{"positions", settings.positions}, {"microbatches", settings.microbatches},
            {"chunks", settings.chunks},       {"group", settings.group},
            {"latency", settings.latency},     {"limit", settings.memory_limit},
            {"model", Json::array()}};
  for (const StageCost& cost : settings.model) json["model"].push_back(json_of(cost));
  return json;
}

bool is_in_table(const std::string& name) {
  const auto table = all_schedules();
  return std::any_of(table.begin(), table.end(), [&](const ScheduleDef& def) { return def.name == name; });
}

Json orders_of(const SimulatedSchedule& schedule) {
  Json json{{"name", schedule.name}};
  if (is_in_table(schedule.name)) return json;
  json["stages"] = schedule.pipeline.placement.num_stages();
  json["orders"] = passes_text(schedule.orders);
  return json;
}

}  // namespace

std::string schedule_page(std::span<const SimulatedSchedule> schedules, const PipelineSettings& settings) {
  Json json{{"settings", json_of(settings)}, {"schedules", Json::array()}};
  for (const SimulatedSchedule& schedule : schedules) json["schedules"].push_back(orders_of(schedule));
  return filled_page("schedule.html", {{"data", json_for_page(json.dump())}});
}

}  // namespace dml
