// Matrix products y[.., M, N] = alpha · op(a)[.., M, K] op(b)[.., K, N] (+ bias[N]).
#pragma once

#include <functional>

#include "kernels/tensor.h"

namespace dml {

struct MatMulOptions {
  bool trans_a = false;     ///< a is [.., K, M]
  bool trans_b = false;     ///< b is [.., N, K]
  bool accumulate = false;  ///< y += instead of y =
  float alpha = 1;
};

}  // namespace dml

namespace dml::cpu {

/// The product as a closure over these f32 buffers, which must not overlap; it allocates nothing once it has run on a
/// thread. Leading dims broadcast; `bias` may have null data. The number of threads is what OpenMP grants the caller
/// now; the same shapes, threads and instruction set give the same bits. Throws std::invalid_argument where shapes
/// differ.
std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options);

}  // namespace dml::cpu
