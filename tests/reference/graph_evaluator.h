// A whole Graph, evaluated in double node by node.
#pragma once

#include <map>

#include "tests/reference/reference.h"

namespace dml::reference {

using Values = std::map<ValueId, Tensor64>;

/// The elements of a value that has a source.
Tensor64 stored(const Value& value);

/// All values of the graph. `given` holds inputs, labels, and what else has no source; it goes before sources. Values
/// that are neither given, stored nor computed are left out; a node that reads one throws std::invalid_argument.
Values evaluate_graph(const Graph& graph, Values given, const Step& step = {});

}  // namespace dml::reference
