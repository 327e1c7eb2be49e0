// What the shape, cost and gradient rules of several families share.
#pragma once

#include <string>

#include "models/op.h"

namespace dml::rules {

using Outputs = std::vector<TypedShape>;

/// Whether optional input `index` is there.
bool has_input(const Node& node, int index);
/// Input `index`; throws std::invalid_argument where it is absent.
const Value& input(const Graph& graph, const Node& node, int index);
inline const Shape& shape(const Graph& graph, const Node& node, int index) { return input(graph, node, index).shape; }
/// Throws std::invalid_argument("[Op] what").
[[noreturn]] void fail(const Node& node, const std::string& what);
void require(bool condition, const Node& node, const std::string& what);
/// Throws unless input `index` has this type.
void require_type(const Graph& graph, const Node& node, int index, DataType type);
void require_float(const Graph& graph, const Node& node, int index);
/// Throws unless inputs `a` and `b` have the same shape.
void require_same_shape(const Graph& graph, const Node& node, int a, int b);
/// The complete shape in attribute `key`; throws where it is absent or negative.
Shape shape_attribute(const Node& node, std::string_view key = "shape");
/// Attribute "axis" as a dim of `shape`.
int axis_of(const Node& node, const Shape& shape);

/// Shape rules: the output is as the first input, of any type; as the first input, which is a float.
Outputs as_first(const Graph& graph, const Node& node);
Outputs as_first_float(const Graph& graph, const Node& node);
/// Shape rule of f(dy, x) -> dx: both have the same shape.
Outputs as_both(const Graph& graph, const Node& node);
/// Shape rule of gradients whose shape is an attribute: float, of the type of the first input.
Outputs as_attribute(const Graph& graph, const Node& node);

/// Cost rules: n operations per element of the first output, or of the first input.
template <int n>
double per_output(const Graph& graph, const Node& node) {
  return n * static_cast<double>(graph.shape(node.outputs[0]).num_elements());
}
template <int n>
double per_input(const Graph& graph, const Node& node) {
  return n * static_cast<double>(graph.shape(node.inputs[0]).num_elements());
}

}  // namespace dml::rules
