// The bias of products and convolutions, where the library that computes them does not add it.
#pragma once

#include <cstdint>

#include "kernels/cuda/queue.h"

namespace dml::cuda {

/// y[outer, channels, inner] = bias[channels] (null: 0), or y += bias if `accumulate`.
template <typename T>
void put_bias(T* y, const T* bias, std::int64_t outer, std::int64_t channels, std::int64_t inner, bool accumulate,
              const Queue& queue);

}  // namespace dml::cuda
