// Matrix products y[.., M, N] = alpha · op(a)[.., M, K] op(b)[.., K, N] (+ bias[N]).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace dml {

struct MatMulOptions {
  bool trans_a = false;     ///< a is [.., K, M]
  bool trans_b = false;     ///< b is [.., N, K]
  bool accumulate = false;  ///< y += instead of y =
  float alpha = 1;
};

/// A product with as few leading dims as possible: those of extent 1 are gone, neighbours that both operands walk alike
/// are one, and many matrices a against one b are one matrix of all their rows. Outermost first.
struct MatMulProblem {
  std::vector<std::int64_t> a_leading, b_leading, y_leading;  ///< of equal length; 1 where broadcast
  std::int64_t m = 0, n = 0, k = 0;

  bool is_single() const { return y_leading.empty(); }
  /// Of y.
  std::int64_t num_elements() const;
};

/// Throws std::invalid_argument where the shapes do not fit.
MatMulProblem plan_matmul(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias,
                          const MatMulOptions& options);
/// Throws std::invalid_argument with `what` and the shapes.
[[noreturn]] void fail_matmul(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias,
                              const std::string& what);

}  // namespace dml

namespace dml::cpu {

/// The product as a closure over these f32 buffers, which must not overlap; it allocates nothing once it has run on a
/// thread. Leading dims broadcast; `bias` may have null data. The number of threads is what OpenMP grants the caller
/// now; the same shapes, threads and instruction set give the same bits. Throws std::invalid_argument where shapes
/// differ.
std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// The same by cublasLt, on the queue; alpha does not scale the bias. a and b are of one type, f32 or bf16, y and bias
/// of one type, theirs or f32. The sums are f32, without TF32 unless the queue allows it; the algorithm is chosen here,
/// for these shapes and addresses. Throws DeviceError where cublasLt is missing or has none.
std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options, const Queue& queue);

}  // namespace dml::cuda
