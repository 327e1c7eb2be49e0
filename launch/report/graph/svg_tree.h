// The clickable SVG files of a task graph.
#pragma once

#include <string>
#include <vector>

#include "launch/report/graph/drawing.h"

namespace dml {

struct OutputFile {
  std::string name;  ///< in the folder
  std::string content;
};

/// The pages of svg_pages.h, laid out; pages that differ in the replica's number alone are laid out once.
/// Throws IoError as layout_graphs does.
std::vector<OutputFile> svg_tree(const Drawing& drawing);

}  // namespace dml
