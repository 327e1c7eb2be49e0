// Dropout by counter: whether an element is kept follows from (seed, step, site, sample, element of the sample in the
// whole tensor), so every layout of a run drops the same ones, and the gradient needs no stored mask.
#pragma once

#include <cstdint>

#include "kernels/step_state.h"

namespace dml {

/// Of one call. The generator is Philox4x32-10 (Salmon et al., 2011) with key = seed and counter = (element / 4,
/// sample, step, site); word element % 4 of its output decides.
struct DropoutSite {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::int64_t site = 0;
  std::int64_t first_sample = 0;  ///< of the tensor, in the global batch
  double ratio = 0;               ///< part of the elements that become 0
};

/// Where the elements of one sample lie in the whole tensor: blocks of `block` elements that are `stride` apart, from
/// `begin` on. A tensor that is not sharded is one block.
struct DropoutShard {
  std::int64_t block = 0;
  std::int64_t stride = 0;
  std::int64_t begin = 0;
};

}  // namespace dml

namespace dml::cpu {

/// y = x / (1 - ratio) where kept, else 0, of x [samples, elems]. The gradient is the same function of dy. y may be x.
void dropout(float* y, const float* x, std::int64_t samples, std::int64_t elems, const DropoutSite& site,
             const DropoutShard& shard);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// T: float, bf16. Seed, step and whether anything is dropped are read from `state` (device memory) when the kernel
/// runs, not from `site`.
template <typename T>
void dropout(T* y, const T* x, std::int64_t samples, std::int64_t elems, const DropoutSite& site,
             const DropoutShard& shard, const StepState* state, const Queue& queue);

}  // namespace dml::cuda
