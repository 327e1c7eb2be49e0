// Compiled once per instruction set.
#include "kernels/pool.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

namespace dml::cpu::DML_VARIANT {
namespace {

struct Range {
  std::int64_t begin, end;
};

DML_INLINE std::int64_t at_least(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
DML_INLINE std::int64_t at_most(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

std::int64_t elements(const Window::Extents& plane) { return plane[0] * plane[1]; }

/// The places along `dim` at which tap `tap` of the window lies inside the input.
Range places_inside(const PoolGeometry& g, std::size_t dim, std::int64_t tap) {
  const std::int64_t shift = tap * g.window.dilations[dim] - g.window.pads_begin[dim];
  const std::int64_t stride = g.window.strides[dim];
  const std::int64_t begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const std::int64_t end = g.in[dim] <= shift ? 0 : (g.in[dim] - shift + stride - 1) / stride;
  return {begin, at_most(end, g.out[dim])};
}

// The maxima of one row of places, one tap of the window at a time.
void max_pool_row(float* y, std::int32_t* where, const float* x, std::int64_t row, const PoolGeometry& g) {
  const std::int64_t stride = g.window.strides[1];
  for (std::int64_t i = 0; i < g.out[1]; ++i) {
    y[i] = -__builtin_inff();
    where[i] = -1;
  }
  for (std::int64_t tap_h = 0; tap_h < g.window.kernel[0]; ++tap_h) {
    const std::int64_t h = row * g.window.strides[0] + tap_h * g.window.dilations[0] - g.window.pads_begin[0];
    if (h < 0 || h >= g.in[0]) continue;
    for (std::int64_t tap_w = 0; tap_w < g.window.kernel[1]; ++tap_w) {
      const Range inside = places_inside(g, 1, tap_w);
      const std::int64_t first = h * g.in[1] + tap_w * g.window.dilations[1] - g.window.pads_begin[1];
#pragma omp simd
      for (std::int64_t i = inside.begin; i < inside.end; ++i) {
        const float value = x[first + i * stride];
        const bool wins = value > y[i] || value != value || where[i] < 0;
        y[i] = wins ? value : y[i];
        where[i] = wins ? static_cast<std::int32_t>(first + i * stride) : where[i];
      }
    }
  }
}

/// The part of a window inside the input, and 1 / its number of counted places.
struct Patch {
  Range h, w;
  float share;
};

Patch patch_of(const PoolGeometry& g, std::int64_t row, std::int64_t column) {
  const std::int64_t place[] = {row, column};
  Range inside[2];
  std::int64_t counted = 1;
  for (std::size_t dim = 0; dim < 2; ++dim) {
    const std::int64_t begin = place[dim] * g.window.strides[dim] - g.window.pads_begin[dim];
    const std::int64_t end = at_most(begin + g.window.kernel[dim], g.in[dim] + g.window.pads_end[dim]);
    inside[dim] = {at_least(begin, 0), at_most(end, g.in[dim])};
    counted *= g.count_include_pad ? end - begin : at_least(inside[dim].end - inside[dim].begin, 0);
  }
  return {inside[0], inside[1], counted > 0 ? 1.0f / static_cast<float>(counted) : 0.0f};
}

/// body(place, patch) for the places of one plane in order.
template <typename Body>
DML_INLINE void for_patches(const PoolGeometry& g, const Body& body) {
  for (std::int64_t row = 0; row < g.out[0]; ++row) {
    for (std::int64_t column = 0; column < g.out[1]; ++column) {
      body(row * g.out[1] + column, patch_of(g, row, column));
    }
  }
}

}  // namespace

void max_pool(float* y, std::int32_t* where, const float* x, const PoolGeometry& geometry) {
  const std::int64_t work = elements(geometry.out) * elements(geometry.window.kernel);
  parallel_for(geometry.planes, work, [&](std::int64_t plane) {
    for (std::int64_t row = 0; row < geometry.out[0]; ++row) {
      const std::int64_t offset = plane * elements(geometry.out) + row * geometry.out[1];
      max_pool_row(y + offset, where + offset, x + plane * elements(geometry.in), row, geometry);
    }
  });
}

void max_pool_grad(float* dx, const float* dy, const std::int32_t* where, const PoolGeometry& geometry) {
  const std::int64_t num_out = elements(geometry.out);
  const std::int64_t num_in = elements(geometry.in);
  parallel_for(geometry.planes, num_in + num_out, [&](std::int64_t plane) {
    float* const out = dx + plane * num_in;
    for (std::int64_t i = 0; i < num_in; ++i) out[i] = 0;
    for (std::int64_t i = plane * num_out; i < (plane + 1) * num_out; ++i) {
      if (where[i] >= 0) out[where[i]] += dy[i];
    }
  });
}

void average_pool(float* y, const float* x, const PoolGeometry& geometry) {
  const std::int64_t work = elements(geometry.out) * elements(geometry.window.kernel);
  parallel_for(geometry.planes, work, [&](std::int64_t plane) {
    const float* const in = x + plane * elements(geometry.in);
    float* const out = y + plane * elements(geometry.out);
    for_patches(geometry, [&](std::int64_t place, const Patch& patch) {
      float sum = 0;
      for (std::int64_t h = patch.h.begin; h < patch.h.end; ++h) {
        for (std::int64_t w = patch.w.begin; w < patch.w.end; ++w) sum += in[h * geometry.in[1] + w];
      }
      out[place] = sum * patch.share;
    });
  });
}

void average_pool_grad(float* dx, const float* dy, const PoolGeometry& geometry) {
  const std::int64_t work = elements(geometry.out) * elements(geometry.window.kernel);
  parallel_for(geometry.planes, work, [&](std::int64_t plane) {
    float* const out = dx + plane * elements(geometry.in);
    const float* const in = dy + plane * elements(geometry.out);
    for (std::int64_t i = 0; i < elements(geometry.in); ++i) out[i] = 0;
    for_patches(geometry, [&](std::int64_t place, const Patch& patch) {
      const float part = in[place] * patch.share;
      for (std::int64_t h = patch.h.begin; h < patch.h.end; ++h) {
        for (std::int64_t w = patch.w.begin; w < patch.w.end; ++w) out[h * geometry.in[1] + w] += part;
      }
    });
  });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, max_pool, (float* y, std::int32_t* where, const float* x, const PoolGeometry& geometry),
             (y, where, x, geometry));
DML_DISPATCH(void, max_pool_grad, (float* dx, const float* dy, const std::int32_t* where, const PoolGeometry& geometry),
             (dx, dy, where, geometry));
DML_DISPATCH(void, average_pool, (float* y, const float* x, const PoolGeometry& geometry), (y, x, geometry));
DML_DISPATCH(void, average_pool_grad, (float* dx, const float* dy, const PoolGeometry& geometry), (dx, dy, geometry));
