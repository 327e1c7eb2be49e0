// Sequence parallelism (Korthikanti et al. 2022, section 4.2.2): what the ranks of the tensor axis would all compute
// alike between the divided operations, each computes for its part of the tokens.
#pragma once

#include <vector>

#include "parallel/tensor/split.h"

namespace dml {

/// What of a split graph has a part of the tokens on each rank: layer norms, dropouts, additions and the like whose
/// activations are all replicated, and what they make. A sum over the tensor axis that such operations alone read is a
/// reduce-scatter; divided operations read what an all-gather makes, which is not kept for the backward pass.
struct SequenceParts {
  std::vector<bool> nodes;
  std::vector<bool> values;
};

SequenceParts sequence_parts(const SplitGraph& split);

}  // namespace dml
