// The memory that the literature states for a transformer as Megatron-LM trains it: attention spelled out in separate
// operations, dropout in three places, values of two bytes. Our own graphs keep other tensors: what they keep is
// planned from their lifetimes (plan/stage_price.h). This is the yardstick beside it.
#pragma once

#include <cstdint>

#include "parallel/techniques/techniques.h"

namespace dml {

struct TransformerRun {
  std::int64_t sequence = 0;    ///< tokens
  std::int64_t microbatch = 0;  ///< sequences
  std::int64_t hidden = 0, heads = 0, layers = 0;
  int t = 1, p = 1;
  int chunks = 1;  ///< stages per pipeline position; above 1 the schedule is interleaved
  int microbatches = 1;
};

/// Bytes of activations on the first pipeline position, of its layers alone: Korthikanti et al. 2022 ("Reducing
/// Activation Recomputation in Large Transformer Models"), equations 1 to 4 and section 4.2.3, and table 2; a layer's
/// input alone for full recomputation, which sequence parallelism divides too.
double published_activation_bytes(const TransformerRun& run, const Techniques& techniques);

/// Bytes of parameters, gradients and Adam's states of the layers (12 h² parameters each): weights of 2 bytes, and
/// gradients, master weights and two moments of 4.
double published_weight_bytes(const TransformerRun& run);

}  // namespace dml
