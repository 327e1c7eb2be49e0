// Maximum and average pools over one or two spatial dims, and their gradients. Planes are x[planes, H, W] and
// y[planes, places of H, places of W]; one spatial dim is H = 1.
#pragma once

#include <cstdint>

#include "kernels/window.h"

namespace dml {

struct PoolGeometry {
  std::int64_t planes = 0;
  Window::Extents in{1, 1};        ///< H, W of x
  Window::Extents out{1, 1};       ///< H, W of y
  Window window;                   ///< averages have no dilations
  bool count_include_pad = false;  ///< averages divide by places of the padded input, not of the input alone
};

}  // namespace dml

namespace dml::cpu {

/// where = the index inside the input plane of the first maximum (of the last NaN), -1 where a window holds nothing.
void max_pool(float* y, std::int32_t* where, const float* x, const PoolGeometry& geometry);
/// dx = 0, then dx[where] += dy in the order of dy. Of the geometry: planes, in and out.
void max_pool_grad(float* dx, const float* dy, const std::int32_t* where, const PoolGeometry& geometry);

void average_pool(float* y, const float* x, const PoolGeometry& geometry);
void average_pool_grad(float* dx, const float* dy, const PoolGeometry& geometry);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// The same on a queue, for f32 and bf16. A maximum keeps its bits; sums are f32.
template <typename T>
void max_pool(T* y, std::int32_t* where, const T* x, const PoolGeometry& geometry, const Queue& queue);
/// Of the geometry: all but the padding's count.
template <typename T>
void max_pool_grad(T* dx, const T* dy, const std::int32_t* where, const PoolGeometry& geometry, const Queue& queue);
template <typename T>
void average_pool(T* y, const T* x, const PoolGeometry& geometry, const Queue& queue);
template <typename T>
void average_pool_grad(T* dx, const T* dy, const PoolGeometry& geometry, const Queue& queue);

}  // namespace dml::cuda
