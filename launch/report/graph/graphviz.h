// Lays out pages by Graphviz: one process of its program `dot` for all of them.
#pragma once

#include <string>
#include <vector>

namespace dml {

/// The SVG of each graph in DOT, in their order. `program` is looked up in PATH.
/// Throws IoError where there is no such program, or it fails.
std::vector<std::string> layout_graphs(const std::vector<std::string>& graphs, const std::string& program = "dot");

}  // namespace dml
