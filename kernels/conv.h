// Convolutions with one or two spatial dims and their gradients.
// x[N, C, spatial..], w[O, C/group, kernel..], y[N, O, places..]; f32, plain layouts.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/tensor.h"
#include "kernels/window.h"

namespace dml {

struct ConvOptions {
  Window window;  ///< the kernel extents are those of w
  std::int64_t group = 1;
};

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
