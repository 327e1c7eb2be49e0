// Where the elements of strided tensors lie: indices taken apart by multiplications, as integer division is slow.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/error.h"
#include "kernels/tensor.h"

namespace dml::cuda {

/// Division of numbers below 2^31 by a multiplication and a shift (Granlund and Montgomery, 1994).
struct Divisor {
  std::uint32_t divisor = 1;
  std::uint32_t multiplier = 1;
  std::uint32_t shift = 0;

  Divisor() = default;
  explicit Divisor(std::int64_t by) : divisor(static_cast<std::uint32_t>(by)) {
    DML_ASSERT(by > 0 && by <= std::numeric_limits<std::int32_t>::max(), std::to_string(by));
    while ((std::uint64_t{1} << shift) < divisor) ++shift;
    multiplier = static_cast<std::uint32_t>((((std::uint64_t{1} << shift) - divisor) << 32) / divisor + 1);
  }

  __device__ __forceinline__ std::uint32_t quotient(std::uint32_t n) const {
    const auto high = static_cast<std::uint32_t>((std::uint64_t{n} * multiplier) >> 32);
    return (high + n) >> shift;
  }
};

/// Dims that are walked in row-major order, and the strides of some tensors in them.
template <int kTensors>
struct StridedDims {
  int rank = 0;
  Divisor extents[Shape::kMaxRank];
  std::int64_t strides[kTensors][Shape::kMaxRank] = {};

  /// Appends an inner dim.
  void add(std::int64_t extent, const std::array<std::int64_t, kTensors>& strides_of_tensors) {
    extents[rank] = Divisor(extent);
    for (int tensor = 0; tensor < kTensors; ++tensor) strides[tensor][rank] = strides_of_tensors[tensor];
    ++rank;
  }

  /// Adds to each tensor's offset what the index amounts to.
  __device__ __forceinline__ void locate(std::uint32_t index, std::int64_t (&offsets)[kTensors]) const {
    for (int dim = rank - 1; dim >= 0; --dim) {
      const std::uint32_t outer = extents[dim].quotient(index);
      const std::int64_t along = index - outer * extents[dim].divisor;
#pragma unroll
      for (int tensor = 0; tensor < kTensors; ++tensor) offsets[tensor] += along * strides[tensor][dim];
      index = outer;
    }
  }
};

/// Counts of things that indices of 31 bits tell apart. Throws InternalError for more.
inline std::int64_t indexable(std::int64_t count) {
  DML_ASSERT(count <= std::numeric_limits<std::int32_t>::max(), std::to_string(count) + " are too many for one launch");
  return count;
}

}  // namespace dml::cuda
