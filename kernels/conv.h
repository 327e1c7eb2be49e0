// Convolutions with one or two spatial dims and their gradients.
// x[N, C, spatial..], w[O, C/group, kernel..], y[N, O, places..]; f32, plain layouts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/tensor.h"
#include "kernels/window.h"

namespace dml {

struct ConvOptions {
  Window window;  ///< the kernel extents are those of w
  std::int64_t group = 1;
};

/// Throws std::invalid_argument with the shapes unless they fit.
void check_conv(const Shape& y, const Shape& x, const Shape& w, const ConvOptions& options);
/// Throws std::invalid_argument with `what` and the shapes.
[[noreturn]] void fail_conv(const std::string& what, const Shape& y, const Shape& x, const Shape& w,
                            const ConvOptions& options);

}  // namespace dml

namespace dml::cpu {

// Each returns the operation as a closure over these buffers, which allocates nothing once it has run on a thread. The
// number of threads is what OpenMP grants the caller now. They throw std::invalid_argument where the shapes do not fit.

/// y = x * w (+ bias[O]); `bias` may have null data.
std::function<void()> prepare_conv(TensorView y, TensorView x, TensorView w, TensorView bias,
                                   const ConvOptions& options);
std::function<void()> prepare_conv_input_grad(TensorView dx, TensorView dy, TensorView w, const ConvOptions& options);
std::function<void()> prepare_conv_weight_grad(TensorView dw, TensorView dy, TensorView x, const ConvOptions& options);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// The same by cuDNN, on the queue; all tensors are of one type, f32 or bf16, sums are f32, without TF32 unless the
// queue allows it. Deterministic: the algorithm is chosen here, among those that always give the same bits. Pads that
// differ between the sides are put around a copy of x in the workspace. Throws DeviceError where cuDNN is missing, has
// no such algorithm, or the workspace is too small for the copy.
std::function<void()> prepare_conv(TensorView y, TensorView x, TensorView w, TensorView bias,
                                   const ConvOptions& options, const Queue& queue);
std::function<void()> prepare_conv_input_grad(TensorView dx, TensorView dy, TensorView w, const ConvOptions& options,
                                              const Queue& queue);
std::function<void()> prepare_conv_weight_grad(TensorView dw, TensorView dy, TensorView x, const ConvOptions& options,
                                               const Queue& queue);

}  // namespace dml::cuda
