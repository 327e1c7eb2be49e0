// What is known of constants while a graph is compiled.
#pragma once

#include <optional>

#include "models/graph.h"

namespace dml {

/// Whether the value never moves and its elements can be read now.
bool is_known_constant(const Graph& graph, ValueId id);
/// The number that all elements of a known constant share; nothing for others.
std::optional<float> uniform_value(const Graph& graph, ValueId id);
/// All elements of a known constant as floats, in row-major order.
std::vector<float> elements_of(const Graph& graph, ValueId id);

}  // namespace dml
