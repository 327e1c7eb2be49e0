#include "models/onnx/graph_table.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/tensor_payload.h"
#include "models/op.h"

namespace dml {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr std::array<const char*, 6> kRoles = {"activation", "input", "label", "parameter", "state", "constant"};
constexpr std::array kTypes = {DataType::f32, DataType::f64, DataType::f16, DataType::bf16,
                               DataType::i64, DataType::i32, DataType::u8,  DataType::boolean};

Role role_of(const std::string& name) {
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    if (name == kRoles[i]) return static_cast<Role>(i);
  }
  throw ModelError("there is no role " + in_quotes(name));
}

DataType type_of(const std::string& name) {
  for (const DataType type : kTypes) {
    if (name == name_of(type)) return type;
  }
  throw ModelError("there is no data type " + in_quotes(name));
}

Value value_of(const Json& row) {
  Value value;
  value.name = row.at(0).get<std::string>();
  value.dtype = type_of(row.at(1).get<std::string>());
  value.shape = checked_shape(row.at(2).get<std::vector<std::int64_t>>(), value.name);
  value.role = role_of(row.at(3).get<std::string>());
  return value;
}

Node node_of(const Json& row) {
  Node node;
  if (row.is_number()) return node;
  node.op = find_op(row.at(0).get<std::string>());
  if (node.op == nullptr) throw ModelError("there is no operation " + in_quotes(row.at(0).get<std::string>()));
  node.name = row.at(1).get<std::string>();
  node.inputs = row.at(2).get<std::vector<ValueId>>();
  node.outputs = row.at(3).get<std::vector<ValueId>>();
  node.phase = phase_of(row.at(4).get<std::string>());
  node.forward = row.at(5).get<NodeId>();
  return node;
}

Json row_of(const Node& node) {
  return Json::array(
      {node.op->name, node.name, node.inputs, node.outputs, std::string(1, letter_of(node.phase)), node.forward});
}

ValueId checked_id(const Graph& graph, const Json& id, bool may_be_none) {
  const auto number = id.get<std::int64_t>();
  if (number < (may_be_none ? kNone : 0) || number >= graph.num_values()) {
    throw ModelError(fmt::format("value {} is named, there are {}", number, graph.num_values()));
  }
  return static_cast<ValueId>(number);
}

std::map<ValueId, ValueId> pairs_of(const Graph& graph, const Json& pairs) {
  std::map<ValueId, ValueId> result;
  for (const Json& pair : pairs) result[checked_id(graph, pair.at(0), false)] = checked_id(graph, pair.at(1), false);
  return result;
}

void check_links(const Graph& graph, const std::vector<Node>& nodes) {
  for (const Node& node : nodes) {
    for (const ValueId id : node.inputs) checked_id(graph, id, true);
    for (const ValueId id : node.outputs) checked_id(graph, id, false);
    if (node.forward < kNone || node.forward >= static_cast<NodeId>(nodes.size())) {
      throw ModelError(fmt::format("node {} is named, there are {}", node.forward, nodes.size()));
    }
  }
}

}  // namespace

Phase phase_of(const std::string& letter) {
  for (const Phase phase : {Phase::forward, Phase::input_grad, Phase::weight_grad, Phase::recompute, Phase::update}) {
    if (letter == std::string(1, letter_of(phase))) return phase;
  }
  throw ModelError("there is no phase " + in_quotes(letter));
}

std::string table_of(const Graph& graph, const std::set<NodeId>& run) {
  Json table = {{"version", kVersion},
                {"inputs", graph.inputs},
                {"label", graph.label},
                {"output", graph.output},
                {"loss", graph.loss},
                {"values", Json::array()},
                {"nodes", Json::array()},
                {"gradient_of", graph.gradient_of},
                {"next_state", graph.next_state}};
  for (const Value& value : graph.values()) {
    table["values"].push_back(
        {value.name, name_of(value.dtype), value.shape.to_vector(), kRoles[static_cast<std::size_t>(value.role)]});
  }
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    table["nodes"].push_back(run.contains(id) ? Json(0) : row_of(graph.node(id)));
  }
  try {
    return table.dump();
  } catch (const Json::exception& error) {
    throw ModelError(fmt::format("a name of the model cannot be written: {}", printable(error.what())));
  }
}

Graph graph_of(const Json& table) {
  const int version = table.at("version").get<int>();
  if (version != kVersion) throw ModelError(fmt::format("its version is {}, {} is read", version, kVersion));
  Graph graph;
  for (const Json& row : table.at("values")) graph.add_value(value_of(row));
  for (const Json& id : table.at("inputs")) graph.inputs.push_back(checked_id(graph, id, false));
  graph.label = checked_id(graph, table.at("label"), true);
  graph.output = checked_id(graph, table.at("output"), false);
  graph.loss = checked_id(graph, table.at("loss"), true);
  graph.gradient_of = pairs_of(graph, table.at("gradient_of"));
  graph.next_state = pairs_of(graph, table.at("next_state"));
  std::vector<Node> nodes;
  for (const Json& row : table.at("nodes")) nodes.push_back(node_of(row));
  check_links(graph, nodes);
  graph.set_nodes(std::move(nodes));
  return graph;
}

}  // namespace dml
