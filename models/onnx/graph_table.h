// The JSON of a graph file: what ONNX has no place for. See graph_file.h.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "models/graph.h"

namespace dml {

inline constexpr const char* kGraphTable = "dmltrain.graph";

/// `run`: nodes that are nodes of the file, and of which the table says nothing. Throws ModelError where a name is not
/// UTF-8.
std::string table_of(const Graph& graph, const std::set<NodeId>& run);

/// The values, and the nodes that the table holds; the op of the others is null. Throws ModelError, and exceptions of
/// nlohmann::json where the table has another form.
Graph graph_of(const nlohmann::json& table);

/// Throws ModelError for another letter than those of letter_of.
Phase phase_of(const std::string& letter);

}  // namespace dml
