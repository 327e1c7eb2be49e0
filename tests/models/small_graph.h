// Small graphs made by hand, for tests.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/graph.h"
#include "models/op.h"

namespace dml {

inline Attributes with(std::initializer_list<std::pair<const char*, Attributes::Attribute>> entries) {
  Attributes attrs;
  for (const auto& [key, value] : entries) attrs.set(key, value);
  return attrs;
}

/// A whole number among attributes.
inline std::int64_t i(std::int64_t number) { return number; }

struct SmallGraph {
  Graph graph;

  ValueId add_value(std::string name, const Shape& shape, Role role, DataType dtype = DataType::f32) {
    Value value;
    value.name = std::move(name);
    value.shape = shape;
    value.role = role;
    value.dtype = dtype;
    return graph.add_value(std::move(value));
  }

  ValueId input(std::string name, const Shape& shape, DataType dtype = DataType::f32) {
    const ValueId id = add_value(std::move(name), shape, Role::input, dtype);
    graph.inputs.push_back(id);
    return id;
  }

  ValueId parameter(std::string name, const Shape& shape) { return add_value(std::move(name), shape, Role::parameter); }

  ValueId parameter(std::string name, const Shape& shape, std::vector<float> elements) {
    const ValueId id = parameter(std::move(name), shape);
    graph.value(id).source = make_source(shape, std::move(elements));
    return id;
  }

  ValueId constant(const Shape& shape, std::vector<float> elements) {
    const ValueId id = add_value("constant" + std::to_string(graph.num_values()), shape, Role::constant);
    graph.value(id).source = make_source(shape, std::move(elements));
    return id;
  }

  ValueId constant(float element) { return constant(Shape{}, {element}); }

  ValueId booleans(const Shape& shape, std::vector<std::int64_t> elements) {
    const ValueId id =
        add_value("constant" + std::to_string(graph.num_values()), shape, Role::constant, DataType::boolean);
    graph.value(id).source = make_source(shape, std::move(elements), DataType::boolean);
    return id;
  }

  /// A node named after its operation and number; returns its first output.
  ValueId add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs = {}) {
    return graph.add(op, std::move(inputs), std::move(attrs), std::string(op) + std::to_string(graph.num_nodes()));
  }

  ValueId reshape(ValueId x, std::vector<std::int64_t> shape) {
    return add("Reshape", {x}, Attributes().set("shape", std::move(shape)));
  }

  ValueId transpose(ValueId x, std::vector<std::int64_t> perm) {
    return add("Transpose", {x}, Attributes().set("perm", std::move(perm)));
  }
};

/// How many nodes of the graph have this operation.
inline int count_of(const Graph& graph, std::string_view op) {
  int count = 0;
  for (const Node& node : graph.nodes()) count += node.op->name == op ? 1 : 0;
  return count;
}

/// The only node of this operation, or of this name; throws where there is none.
inline const Node& only(const Graph& graph, std::string_view op) {
  for (const Node& node : graph.nodes()) {
    if (node.op->name == op) return node;
  }
  throw std::invalid_argument("no node " + std::string(op));
}

inline const Node& producer_of(const Graph& graph, ValueId value) { return graph.node(graph.value(value).producer); }

}  // namespace dml
