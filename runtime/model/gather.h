// Whole tensors from the parts that ranks hold, on rank 0: for saving and dumping from any layout.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/program/rank_state.h"

namespace dml {

struct GatheredTensor {
  std::string name;
  Shape shape;
  std::vector<float> elements;
};
using TensorSink = std::function<void(const GatheredTensor& tensor)>;

/// Every trained tensor once, in the model's order. Collective; `sink` is called on rank 0 alone.
void gather_tensors(RankState& state, FlatBuffer buffer, const TensorSink& sink);
/// The running statistics of replica 0.
void gather_states(RankState& state, const TensorSink& sink);
/// The model's output over the global batch of the last step, samples in order; the program must keep it.
void gather_output(RankState& state, const TensorSink& sink);

}  // namespace dml
