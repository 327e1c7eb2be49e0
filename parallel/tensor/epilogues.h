// Products that finish their result themselves: what comes right behind a matrix product becomes a part of its node,
// so that the result is not written, read and written again.
#pragma once

#include <span>

#include "parallel/tensor/split.h"

namespace dml {

/// The same graph in fewer nodes.
/// - A MatMul and the Add of a vector of its type to its rows become a MatMul with a bias, if nothing else reads
///   what is between them, and it is no result of the graph.
/// - A MatMul that makes the gradient of a weight, and the SumTo that makes that of a bias from the same rows,
///   become a LinearParamGrad, if nothing reads the latter before the former is there.
/// - A MatMul with a bias and the Gelu of it, in the tanh form, become a LinearGelu, which keeps what Gelu reads
///   for the gradient.
/// - A MatMul and the GeluGrad, of the same form, that alone reads it become a LinearGeluGrad.
///
/// All that become one are of one phase and one stage; `stages` are those of the nodes of the graph that was
/// divided (by `origin`), empty where all are of one. What a collective stands between, as behind a product of
/// rows in megatron mode, stays apart.
///
/// The node stands where the last of its operations stood, with the name and origin of the product. Values keep
/// their ids; what was between is a value of no node. Linear in the nodes, their inputs and readers.
SplitGraph with_epilogues(SplitGraph split, std::span<const int> stages);

}  // namespace dml
