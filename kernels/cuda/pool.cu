// Own kernels: cuDNN keeps no place of a maximum, and pads both sides alike. A thread makes one element of the result;
// the gradients look for the places whose windows hold their element, so that nothing is added by atomics.
#include "kernels/pool.h"

#include "kernels/bf16.h"
#include "kernels/cuda/launch.cuh"

namespace dml::cuda {
namespace pooling {

inline constexpr int kThreads = 256;
inline constexpr int kBlocksOfSm = 4;  ///< of a multiprocessor, which keeps half of its warps

struct Range {
  std::int64_t begin, end;
};

/// An element of a plane of extents `plane`.
struct Place {
  std::int64_t plane, h, w;

  __device__ Place(std::int64_t index, const Window::Extents& extents)
      : plane(index / (extents[0] * extents[1])), h(index / extents[1] % extents[0]), w(index % extents[1]) {}
};

__device__ inline std::int64_t element() { return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

/// The places along `dim` whose windows reach over the element at `at`, holes of dilations included.
__device__ inline Range places_over(std::int64_t at, int dim, const PoolGeometry& g) {
  const std::int64_t reach = (g.window.kernel[dim] - 1) * g.window.dilations[dim];
  const std::int64_t last = at + g.window.pads_begin[dim];
  const std::int64_t first = last - reach;
  const std::int64_t stride = g.window.strides[dim];
  const std::int64_t end = last < 0 ? 0 : last / stride + 1;
  return {first <= 0 ? 0 : (first + stride - 1) / stride, end < g.out[dim] ? end : g.out[dim]};
}

template <typename T>
__global__ void __launch_bounds__(kThreads) max_pool(T* y, std::int32_t* where, const T* x, PoolGeometry g) {
  const std::int64_t i = element();
  if (i >= g.planes * g.out[0] * g.out[1]) return;
  const Place place(i, g.out);
  const T* const plane = x + place.plane * g.in[0] * g.in[1];
  float greatest = -INFINITY;
  std::int32_t found = -1;
  for (std::int64_t tap_h = 0; tap_h < g.window.kernel[0]; ++tap_h) {
    const std::int64_t h = place.h * g.window.strides[0] + tap_h * g.window.dilations[0] - g.window.pads_begin[0];
    if (h < 0 || h >= g.in[0]) continue;
    for (std::int64_t tap_w = 0; tap_w < g.window.kernel[1]; ++tap_w) {
      const std::int64_t w = place.w * g.window.strides[1] + tap_w * g.window.dilations[1] - g.window.pads_begin[1];
      if (w < 0 || w >= g.in[1]) continue;
      const float value = to_float(plane[h * g.in[1] + w]);
      if (value > greatest || value != value || found < 0) {
        greatest = value;
        found = static_cast<std::int32_t>(h * g.in[1] + w);
      }
    }
  }
  y[i] = from_float<T>(greatest);
  where[i] = found;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    max_pool_grad(T* dx, const T* dy, const std::int32_t* where, PoolGeometry g) {
  const std::int64_t i = element();
  if (i >= g.planes * g.in[0] * g.in[1]) return;
  const Place place(i, g.in);
  const std::int64_t plane = place.plane * g.out[0] * g.out[1];
  const Range rows = places_over(place.h, 0, g);
  const Range columns = places_over(place.w, 1, g);
  float sum = 0;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t column = columns.begin; column < columns.end; ++column) {
      const std::int64_t from = plane + row * g.out[1] + column;
      if (where[from] == place.h * g.in[1] + place.w) sum += to_float(dy[from]);
    }
  }
  dx[i] = from_float<T>(sum);
}

/// The part of a place's window along `dim` that lies in the input, and how many elements count there: none are left to
/// divide where that is not positive.
struct Side {
  Range inside;
  std::int64_t counted;

  __device__ Side(std::int64_t place, int dim, const PoolGeometry& g) {
    const std::int64_t begin = place * g.window.strides[dim] - g.window.pads_begin[dim];
    const std::int64_t reached = begin + g.window.kernel[dim];
    const std::int64_t padded = g.in[dim] + g.window.pads_end[dim];
    const std::int64_t end = reached < padded ? reached : padded;
    inside = {begin < 0 ? 0 : begin, end < g.in[dim] ? end : g.in[dim]};
    counted = g.count_include_pad ? end - begin : inside.end - inside.begin;
  }
};

__device__ inline float share(const Side& h, const Side& w) {
  const std::int64_t counted = h.counted * w.counted;
  return counted > 0 ? 1.0F / static_cast<float>(counted) : 0.0F;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) average_pool(T* y, const T* x, PoolGeometry g) {
  const std::int64_t i = element();
  if (i >= g.planes * g.out[0] * g.out[1]) return;
  const Place place(i, g.out);
  const T* const plane = x + place.plane * g.in[0] * g.in[1];
  const Side rows(place.h, 0, g);
  const Side columns(place.w, 1, g);
  float sum = 0;
  for (std::int64_t h = rows.inside.begin; h < rows.inside.end; ++h) {
    for (std::int64_t w = columns.inside.begin; w < columns.inside.end; ++w) sum += to_float(plane[h * g.in[1] + w]);
  }
  y[i] = from_float<T>(sum * share(rows, columns));
}

template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocksOfSm) average_pool_grad(T* dx, const T* dy, PoolGeometry g) {
  const std::int64_t i = element();
  if (i >= g.planes * g.in[0] * g.in[1]) return;
  const Place place(i, g.in);
  const T* const plane = dy + place.plane * g.out[0] * g.out[1];
  const Range rows = places_over(place.h, 0, g);
  const Range columns = places_over(place.w, 1, g);
  float sum = 0;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const Side side(row, 0, g);
    for (std::int64_t column = columns.begin; column < columns.end; ++column) {
      sum += to_float(plane[row * g.out[1] + column]) * share(side, Side(column, 1, g));
    }
  }
  dx[i] = from_float<T>(sum);
}

unsigned blocks_for(const PoolGeometry& g, const Window::Extents& plane) {
  return blocks_of(g.planes * plane[0] * plane[1], kThreads);
}

}  // namespace pooling

template <typename T>
void max_pool(T* y, std::int32_t* where, const T* x, const PoolGeometry& geometry, const Queue& queue) {
  launch<pooling::max_pool<T>>(pooling::blocks_for(geometry, geometry.out), pooling::kThreads, 0, queue, y, where, x,
                               geometry);
}

template <typename T>
void max_pool_grad(T* dx, const T* dy, const std::int32_t* where, const PoolGeometry& geometry, const Queue& queue) {
  launch<pooling::max_pool_grad<T>>(pooling::blocks_for(geometry, geometry.in), pooling::kThreads, 0, queue, dx, dy,
                                    where, geometry);
}

template <typename T>
void average_pool(T* y, const T* x, const PoolGeometry& geometry, const Queue& queue) {
  launch<pooling::average_pool<T>>(pooling::blocks_for(geometry, geometry.out), pooling::kThreads, 0, queue, y, x,
                                   geometry);
}

template <typename T>
void average_pool_grad(T* dx, const T* dy, const PoolGeometry& geometry, const Queue& queue) {
  launch<pooling::average_pool_grad<T>>(pooling::blocks_for(geometry, geometry.in), pooling::kThreads, 0, queue, dx, dy,
                                        geometry);
}

#define DML_INSTANTIATE(T)                                                                           \
  template void max_pool(T*, std::int32_t*, const T*, const PoolGeometry&, const Queue&);            \
  template void max_pool_grad(T*, const T*, const std::int32_t*, const PoolGeometry&, const Queue&); \
  template void average_pool(T*, const T*, const PoolGeometry&, const Queue&);                       \
  template void average_pool_grad(T*, const T*, const PoolGeometry&, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
