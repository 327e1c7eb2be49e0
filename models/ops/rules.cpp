#include "models/ops/rules.h"

#include <stdexcept>

namespace dml::rules {

bool has_input(const Node& node, int index) {
  return index < static_cast<int>(node.inputs.size()) && node.inputs[static_cast<std::size_t>(index)] != kNone;
}

const Value& input(const Graph& graph, const Node& node, int index) {
  require(has_input(node, index), node, "input " + std::to_string(index) + " is absent");
  return graph.value(node.inputs[static_cast<std::size_t>(index)]);
}

void fail(const Node& node, const std::string& what) {
  throw std::invalid_argument("[" + std::string(node.op->name) + "] " + what);
}

void require(bool condition, const Node& node, const std::string& what) {
  if (!condition) fail(node, what);
}

void require_type(const Graph& graph, const Node& node, int index, DataType type) {
  const DataType found = input(graph, node, index).dtype;
  if (found == type) return;
  fail(node, "input " + std::to_string(index) + " is " + std::string(name_of(found)) + ", wants " +
                 std::string(name_of(type)));
}

void require_float(const Graph& graph, const Node& node, int index) {
  const DataType found = input(graph, node, index).dtype;
  if (is_float(found)) return;
  fail(node, "input " + std::to_string(index) + " is " + std::string(name_of(found)) + ", wants a float type");
}

void require_same_shape(const Graph& graph, const Node& node, int a, int b) {
  if (shape(graph, node, a) == shape(graph, node, b)) return;
  fail(node, "shapes differ: input " + std::to_string(a) + " is " + shape(graph, node, a).to_string() + ", input " +
                 std::to_string(b) + " is " + shape(graph, node, b).to_string());
}

Shape shape_attribute(const Node& node, std::string_view key) {
  require(node.attrs.has(key), node, "attribute '" + std::string(key) + "' is absent");
  const Shape result(node.attrs.integers(key));
  for (const std::int64_t extent : result) {
    require(extent >= 0, node, "attribute '" + std::string(key) + "' is not complete: " + result.to_string());
  }
  return result;
}

int axis_of(const Node& node, const Shape& shape) { return shape.normalize(node.attrs.integer("axis", -1)); }

Outputs as_first(const Graph& graph, const Node& node) {
  const Value& x = input(graph, node, 0);
  return {{x.dtype, x.shape}};
}

Outputs as_first_float(const Graph& graph, const Node& node) {
  require_float(graph, node, 0);
  return as_first(graph, node);
}

Outputs as_both(const Graph& graph, const Node& node) {
  require_same_shape(graph, node, 0, 1);
  return as_first_float(graph, node);
}

Outputs as_attribute(const Graph& graph, const Node& node) {
  require_float(graph, node, 0);
  return {{input(graph, node, 0).dtype, shape_attribute(node)}};
}

}  // namespace dml::rules
