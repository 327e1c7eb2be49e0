// Products that finish their result themselves: what comes right behind a matrix product becomes a part of its node,
// so that the result is not written, read and written again.
#pragma once

#include <span>

#include "parallel/tensor/split.h"

namespace dml {

/// The same graph in fewer nodes. A MatMul and the Add of a vector to its rows become a MatMul with a bias, if
/// - nothing else reads what is between them, and it is no result of the graph;
/// - both are of one phase and of one stage. `stages` are those of the nodes of the graph that was divided (by
/// `origin`);
///   empty: all are of one;
/// - all that is read and written is of one type.
/// What a collective stands between, as behind a product of rows in megatron mode, stays apart.
/// The node stands where the last of its operations stood, with the name and origin of the product. Values keep their
/// ids; what was between is a value of no node. Linear in the nodes and their inputs.
SplitGraph with_epilogues(SplitGraph split, std::span<const int> stages);

}  // namespace dml
