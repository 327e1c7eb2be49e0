// The numbers that change from step to step. Kernels read them at run time, so that a recorded step can be replayed.
#pragma once

#include <cstdint>

namespace dml {

struct StepState {
  std::int64_t step = 0;        ///< 0 for the first update of the run
  std::uint64_t seed = 0;       ///< of the run: initial weights, data order and dropout masks follow from it
  double learning_rate = 0;     ///< of this update
  double bias_correction1 = 1;  ///< 1 - beta1^(step+1)
  double bias_correction2 = 1;  ///< 1 - beta2^(step+1)
  float loss_scale = 1;         ///< factor of every counted target: 1 / targets of the global batch
  float clip_factor = 1;        ///< gradients are multiplied by it inside the update
  bool trains = true;           ///< false: dropout drops nothing, batch norm takes and keeps the running statistics
};

}  // namespace dml
