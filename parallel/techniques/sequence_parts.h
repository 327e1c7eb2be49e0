// Sequence parallelism (Korthikanti et al. 2022, section 4.2.2): what the ranks of the tensor axis would all compute
// alike between the divided operations, each computes for its part of the tokens.
#pragma once

#include "parallel/tensor/split.h"

namespace dml {

/// Divides by tokens, dim 1 of values [samples, tokens, channels], what `plan` has whole on every rank and what goes
/// through tokens one by one: layer norms, dropouts, additions and the like between sums over the tensor axis. Such a
/// sum becomes a reduce-scatter, an all-gather stands before the next divided operation, and another one before its
/// gradient: what is gathered is not kept. Gradients of the weights of such operations are sums over the ranks. A plan
/// in which nothing is divided so stays as it is, with a note.
void divide_sequence(SplitPlan& plan, const Graph& graph);

}  // namespace dml
