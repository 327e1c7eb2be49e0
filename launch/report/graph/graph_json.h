// A drawing as JSON: the file graph.json, and the data inside graph.html. `dmltrain help graph` documents the schema.
#pragma once

#include <string>

#include "launch/report/graph/drawing.h"

namespace dml {

/// Rises where a reader of the older one would go wrong; fields may be added without.
inline constexpr int kGraphJsonVersion = 1;

std::string graph_json(const Drawing& drawing);

}  // namespace dml
