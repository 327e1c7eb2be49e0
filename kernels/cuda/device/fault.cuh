// How a kernel notes bad data.
#pragma once

#include "kernels/cuda/fault.h"
#include "kernels/cuda/launch.cuh"

namespace dml::cuda {

/// Keeps the first fault that is noted.
__device__ inline void note_fault(Fault* fault, Fault::Kind kind, std::int64_t place, std::int64_t value,
                                  std::int64_t limit) {
  if (atomicCAS(&fault->kind, static_cast<std::int32_t>(Fault::none), static_cast<std::int32_t>(kind)) != Fault::none) {
    return;
  }
  fault->place = place;
  fault->value = value;
  fault->limit = limit;
}

}  // namespace dml::cuda
