#include "launch/report/graph/graph_json.h"

#include <nlohmann/json.hpp>

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

/// By tensor index, or one value where all are alike.
template <typename Member>
Json per_rank(const std::vector<DrawnCost>& costs, Member member) {
  Json values = Json::array();
  bool alike = true;
  for (const DrawnCost& cost : costs) {
    alike = alike && cost.*member == costs.front().*member;
    values.push_back(cost.*member);
  }
  return alike ? values.front() : values;
}

void add_costs(Json& json, const std::vector<DrawnCost>& costs) {
  json["flops"] = per_rank(costs, &DrawnCost::flops);
  json["bytes"] = per_rank(costs, &DrawnCost::bytes);
  json["step_flops"] = per_rank(costs, &DrawnCost::step_flops);
  json["step_bytes"] = per_rank(costs, &DrawnCost::step_bytes);
}

Json dims_of(const Shape& shape) {
  Json dims = Json::array();
  for (int dim = 0; dim < shape.rank(); ++dim) dims.push_back(shape[dim]);
  return dims;
}

Json output_json(const DrawnOutput& output) {
  Json shapes = Json::array();
  for (const Shape& shape : output.shapes) shapes.push_back(dims_of(shape));
  return {{"name", output.name},
          {"dtype", name_of(output.dtype)},
          {"shape", dims_of(output.whole)},
          {"placement", output.placement},
          {"local_shapes", std::move(shapes)}};
}

Json task_json(const DrawnTask& task) {
  Json json = {{"n", task.id.operation},      {"phase", std::string(1, letter_of(task.id.phase))},
               {"kind", name_of(task.kind)},  {"name", task.name},
               {"operation", task.operation}, {"position", task.position},
               {"stage", task.stage},         {"layer", task.layer}};
  if (is_collective(task.kind)) json["group"] = std::string(1, letter_of(task.axis));
  json["inputs"] = task.inputs;
  if (!task.transfers.empty()) json["receives"] = task.transfers;
  if (!task.outputs.empty()) {
    json["outputs"] = Json::array();
    for (const DrawnOutput& output : task.outputs) json["outputs"].push_back(output_json(output));
  }
  if (!task.parameters.empty()) json["parameters"] = task.parameters;
  add_costs(json, task.costs);
  return json;
}

Json transfer_json(const DrawnTransfer& transfer) {
  Json json = {{"n", transfer.id.operation},          {"phase", std::string(1, letter_of(transfer.id.phase))},
               {"from_stage", transfer.from_stage},   {"to_stage", transfer.to_stage},
               {"channel", transfer.channel},         {"source", transfer.source},
               {"value", output_json(transfer.value)}};
  add_costs(json, transfer.costs);
  return json;
}

Json program_json(const DrawnProgram& program) {
  Json json = {{"microbatch_samples", program.sizes},
               {"layers", Json::array()},
               {"tasks", Json::array()},
               {"transfers", Json::array()}};
  for (const DrawnLayer& layer : program.layers)
    json["layers"].push_back({{"name", layer.name}, {"stages", layer.stages}});
  for (const DrawnTask& task : program.tasks) json["tasks"].push_back(task_json(task));
  for (const DrawnTransfer& transfer : program.transfers) json["transfers"].push_back(transfer_json(transfer));
  return json;
}

Json layout_json(const Drawing& drawing) {
  const Mesh& mesh = drawing.mesh;
  Json stages = Json::array(), orders = Json::array();
  for (int stage = 0; stage < drawing.placement.num_stages(); ++stage) {
    stages.push_back(
        {{"position", drawing.position(stage)}, {"label", drawing.stage_labels[static_cast<std::size_t>(stage)]}});
  }
  for (const Order& order : drawing.orders) {
    Json actions = Json::array();
    for (const Action& action : order) actions.push_back(action.to_string());
    orders.push_back(std::move(actions));
  }
  return {{"d", mesh.d()},
          {"p", mesh.p()},
          {"t", mesh.t()},
          {"order", mesh.order()},
          {"schedule", drawing.schedule},
          {"tensor_mode", drawing.tensor_mode},
          {"stages", std::move(stages)},
          {"actions", std::move(orders)}};
}

}  // namespace

std::string graph_json(const Drawing& drawing) {
  Json json = {{"format", "dmltrain graph"},
               {"version", kGraphJsonVersion},
               {"model", {{"name", drawing.model}, {"parameters", drawing.parameters}}},
               {"layout", layout_json(drawing)},
               {"replicas", Json::array()},
               {"programs", Json::array()},
               {"notes", drawing.notes}};
  for (int d = 0; d < drawing.mesh.d(); ++d) {
    const auto replica = static_cast<std::size_t>(d);
    json["replicas"].push_back(
        {{"program", drawing.program_of[replica]}, {"first_sample", drawing.first_samples[replica]}});
  }
  for (const DrawnProgram& program : drawing.programs) json["programs"].push_back(program_json(program));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace dml
