// One kernel for all that moves elements without turning a matrix: both sides are walked with strides.
#pragma once

#include <cstdint>

#include "kernels/cuda/queue.h"
#include "kernels/tensor.h"

namespace dml::cuda {

/// to[Σ i_d · to_strides_d] = from[Σ i_d · from_strides_d] for all i below `extents`; in elements. A from_stride of 0
/// repeats.
struct StridedCopy {
  using Numbers = std::array<std::int64_t, Shape::kMaxRank>;

  int rank = 0;
  Numbers extents{};
  Numbers to_strides{};
  Numbers from_strides{};

  /// Appends a dim inside those before.
  void push_back(std::int64_t extent, std::int64_t to_stride, std::int64_t from_stride);
  std::int64_t num_elements() const;
};

/// `elem_size` is 1, 2, 4 or 8. Moves up to 16 bytes at a time where strides and addresses allow.
void copy_strided(void* to, const void* from, const StridedCopy& plan, std::size_t elem_size, const Queue& queue);

}  // namespace dml::cuda
