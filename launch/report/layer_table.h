// Where a model's parameters and work are, by layer.
#pragma once

#include <string>

#include "launch/terminal/style.h"
#include "models/graph.h"

namespace dml {

/// Parameters, FLOPs and bytes of one forward pass, by layer. A parameter belongs to the first layer that reads it.
std::string layer_table(const Graph& graph, Style style);

}  // namespace dml
