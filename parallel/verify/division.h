// Whether a rank's divided graph computes the whole Graph: by an algebra of placements. Every value of the divided
// graph is followed from the fed and loaded ones and gets a meaning: which value of the Graph it stands for, and in
// which placement. The tensor-split rules are the axioms; the placements that the division wrote down are only
// compared.
#pragma once

#include <vector>

#include "parallel/tensor/split.h"
#include "parallel/verify/finding.h"

namespace dml {

/// Findings unless, on rank `place` of the tensor axis:
/// - every node of `whole` is computed by exactly one node of `split`, alone or as a part of a product with an epilogue
///   (epilogue_parts.h), on values that stand for its inputs, in placements that the operation's rule allows, with the
///   attributes of this rank's part;
/// - addends (Partial) are summed exactly once before they are used as a whole, and shards are gathered and cut as they
///   were divided, so that the parts of all ranks cover every tensor without gap or overlap;
/// - loss and output are whole on every rank, every gradient is divided as its parameter, or, where the graph says that
///   it is summed last (verify_rank proves that sum), addends of it; every next state is divided as its state;
/// - shapes are those of the placements.
/// Linear in the nodes and their inputs. `whole` is the graph of as many samples.
std::vector<Finding> verify_division(const Graph& whole, const SplitGraph& split, TensorPlace place);

}  // namespace dml
