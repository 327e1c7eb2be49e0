// Conversion between data types.
#pragma once

#include "kernels/tensor.h"

namespace dml::cpu {

/// y = x in y's data type, any to any, as `convert` of kernels/convert.h.
void cast(const TensorView& y, const TensorView& x);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// The same on a queue.
void cast(const TensorView& y, const TensorView& x, const Queue& queue);

}  // namespace dml::cuda
