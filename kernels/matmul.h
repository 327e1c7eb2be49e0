// Matrix products y[.., M, N] = alpha · op(a)[.., M, K] op(b)[.., K, N] (+ bias[N]), and products of linear layers
// y[.., R, N] = x[.., R, K] w[K, N] + bias[N] that do more: GELU in its tanh form, and gradients. w is [N, K] with
// trans_b.
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
/// Throws std::invalid_argument unless `view`, which is said as `what`, has this shape.
void check_linear(const TensorView& view, const Shape& shape, const char* what);
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

// The products below are those above with what follows them: to the same bits as one behind the other.

/// dw = xᵀ dy (dyᵀ x with trans_b), added to dw with accumulate, and dbias[N] = the sum of the rows of dy. x and dy are
/// matrices. Of the options, trans_b and accumulate count.
std::function<void()> prepare_linear_param_grad(TensorView dw, TensorView dbias, TensorView x, TensorView dy,
                                                const MatMulOptions& options);

/// y = GELU(pre), pre = x w + bias. Of the options, trans_b counts, as in the next one.
std::function<void()> prepare_linear_gelu(TensorView y, TensorView pre, TensorView x, TensorView w, TensorView bias,
                                          const MatMulOptions& options);

/// dpre = (dy op(w)) · GELU'(pre), element by element. The product is dy w, or dy wᵀ with trans_b.
std::function<void()> prepare_linear_gelu_grad(TensorView dpre, TensorView dy, TensorView w, TensorView pre,
                                               const MatMulOptions& options);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// The same by cublasLt, on the queue; alpha does not scale the bias. a and b are of one type, f32 or bf16, y and bias
/// of one type, theirs or f32. The sums are f32, without TF32 unless the queue allows it; the algorithm is chosen here,
/// for these shapes and addresses. Throws DeviceError where cublasLt is missing or has none.
std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options, const Queue& queue);

// By cublasLt's epilogues BGRADA or BGRADB, GELU_AUX_BIAS and DGELU; as several kernels where it has no algorithm for
// them, and GELU's where rows of pre are no multiple of 8. All operands are of one type, f32 or bf16; what lies between
// is f32 in an epilogue.

std::function<void()> prepare_linear_param_grad(TensorView dw, TensorView dbias, TensorView x, TensorView dy,
                                                const MatMulOptions& options, const Queue& queue);
std::function<void()> prepare_linear_gelu(TensorView y, TensorView pre, TensorView x, TensorView w, TensorView bias,
                                          const MatMulOptions& options, const Queue& queue);
std::function<void()> prepare_linear_gelu_grad(TensorView dpre, TensorView dy, TensorView w, TensorView pre,
                                               const MatMulOptions& options, const Queue& queue);

}  // namespace dml::cuda
