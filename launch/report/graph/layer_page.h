// The lowest page of the tree: the operations of one layer, as the ranks of a stage run them for one microbatch.
#pragma once

#include <string>

#include "launch/report/graph/drawing.h"

namespace dml {

/// In DOT, with kReplicaMark for the replica. What comes from elsewhere leads to the page where it is made.
std::string layer_page(const Drawing& drawing, const DrawnProgram& program, int layer);

}  // namespace dml
