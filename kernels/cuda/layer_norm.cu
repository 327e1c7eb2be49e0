// A warp or a block takes a row and reads it from the caches again for each pass.
#include "kernels/layer_norm.h"

#include "kernels/cuda/device/column_sums.cuh"
#include "kernels/cuda/device/team.cuh"

namespace dml::cuda {
namespace kernels {

template <int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    layer_norm(T* y, float* mean, float* rstd, const T* x, const T* scale, const T* bias, std::int64_t rows,
               std::int64_t n, float epsilon) {
  using Row = Team<kThreads>;
  const std::int64_t row = Row::row();
  if (row >= rows) return;
  const T* const in = x + row * n;
  const auto count = static_cast<float>(n);

  float sum = 0;
  for_each_pack<kThreads, kElems>(in, n, [&](const Pack<T, kElems>& pack, std::int64_t) {
#pragma unroll
    for (int i = 0; i < kElems; ++i) sum += number_of(pack.data[i]);
  });
  const float centre = Row::sum(sum) / count;

  float squares = 0;
  for_each_pack<kThreads, kElems>(in, n, [&](const Pack<T, kElems>& pack, std::int64_t) {
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      const float difference = number_of(pack.data[i]) - centre;
      squares += difference * difference;
    }
  });
  const float factor = 1.0f / sqrtf(Row::sum(squares) / count + epsilon);
  if (Row::thread() == 0) {
    mean[row] = centre;
    rstd[row] = factor;
  }

  for_each_pack<kThreads, kElems>(in, n, [&](const Pack<T, kElems>& pack, std::int64_t at) {
    const auto scales = load_pack<kElems>(scale + at);
    Pack<T, kElems> shifts{};
    if (bias != nullptr) shifts = load_pack<kElems>(bias + at);
    Pack<T, kElems> result;
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      const float normal = (number_of(pack.data[i]) - centre) * factor;
      result.data[i] = stored_as<T>(fmaf(normal, number_of(scales.data[i]), number_of(shifts.data[i])));
    }
    store_pack(y + row * n + at, result);
  });
}

template <int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    layer_norm_grad(T* dx, const T* dy, const T* x, const T* scale, const float* mean, const float* rstd,
                    std::int64_t rows, std::int64_t n) {
  using Row = Team<kThreads>;
  const std::int64_t row = Row::row();
  if (row >= rows) return;
  const float centre = mean[row];
  const float factor = rstd[row];
  const auto count = static_cast<float>(n);
  /// body(g, normal x, position in the row) of each element.
  const auto for_each_elem = [&](const auto& body) {
    for_each_pack<kThreads, kElems>(dy + row * n, n, [&](const Pack<T, kElems>& d, std::int64_t at) {
      const auto in = load_pack<kElems>(x + row * n + at);
      const auto scales = load_pack<kElems>(scale + at);
      float g[kElems], normal[kElems];
#pragma unroll
      for (int i = 0; i < kElems; ++i) {
        g[i] = number_of(d.data[i]) * number_of(scales.data[i]);
        normal[i] = (number_of(in.data[i]) - centre) * factor;
      }
      body(g, normal, at);
    });
  };

  float sum_g = 0;
  float sum_gx = 0;
  for_each_elem([&](const float* g, const float* normal, std::int64_t) {
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      sum_g += g[i];
      sum_gx += g[i] * normal[i];
    }
  });
  const float mean_g = Row::sum(sum_g) / count;
  const float mean_gx = Row::sum(sum_gx) / count;

  for_each_elem([&](const float* g, const float* normal, std::int64_t at) {
    Pack<T, kElems> result;
#pragma unroll
    for (int i = 0; i < kElems; ++i) result.data[i] = stored_as<T>(factor * (g[i] - mean_g - normal[i] * mean_gx));
    store_pack(dx + row * n + at, result);
  });
}

}  // namespace kernels

namespace ops {

/// The terms of dscale and dbias.
template <typename T>
struct LayerNormParamTerms {
  static constexpr int kSums = 2;
  T* dscale;
  T* dbias;
  const T* dy;
  const T* x;
  const float* mean;
  const float* rstd;
  std::int64_t n;

  template <int kElems>
  __device__ __forceinline__ void add(float (&sums)[kSums][kElems], std::int64_t, std::int64_t row,
                                      std::int64_t column) const {
    const auto d = load_pack<kElems>(dy + row * n + column);
    const auto in = load_pack<kElems>(x + row * n + column);
    const float centre = mean[row];
    const float factor = rstd[row];
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      sums[0][i] += number_of(d.data[i]) * ((number_of(in.data[i]) - centre) * factor);
      sums[1][i] += number_of(d.data[i]);
    }
  }
  __device__ __forceinline__ void finish(int sum, std::int64_t, std::int64_t column, double total) const {
    T* const out = sum == 0 ? dscale : dbias;
    if (out != nullptr) out[column] = stored_as<T>(static_cast<float>(total));
  }
};

}  // namespace ops

template <typename T>
void layer_norm(T* y, float* mean, float* rstd, const T* x, const T* scale, const T* bias, std::int64_t rows,
                std::int64_t n, float epsilon, const Queue& queue) {
  for_row_width<T>(n, are_packs<T>(n, {y, x, scale, bias}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    launch<kernels::layer_norm<threads, elems, T>>(blocks_of(rows, Row::kRows), Row::kBlock, 0, queue, y, mean, rstd, x,
                                                   scale, bias, rows, n, epsilon);
  });
}

template <typename T>
void layer_norm_grad(T* dx, const T* dy, const T* x, const T* scale, const float* mean, const float* rstd,
                     std::int64_t rows, std::int64_t n, const Queue& queue) {
  for_row_width<T>(n, are_packs<T>(n, {dx, dy, x, scale}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    launch<kernels::layer_norm_grad<threads, elems, T>>(blocks_of(rows, Row::kRows), Row::kBlock, 0, queue, dx, dy, x,
                                                        scale, mean, rstd, rows, n);
  });
}

template <typename T>
void layer_norm_param_grad(T* dscale, T* dbias, const T* dy, const T* x, const float* mean, const float* rstd,
                           std::int64_t rows, std::int64_t n, const Queue& queue) {
  const ops::LayerNormParamTerms<T> terms{dscale, dbias, dy, x, mean, rstd, n};
  if (are_packs<T>(n, {dy, x}, kPackElems<T>)) {
    sum_columns<kPackElems<T>>(terms, 1, rows, n, queue);
  } else {
    sum_columns<1>(terms, 1, rows, n, queue);
  }
}

#define DML_INSTANTIATE(T)                                                                                      \
  template void layer_norm(T*, float*, float*, const T*, const T*, const T*, std::int64_t, std::int64_t, float, \
                           const Queue&);                                                                       \
  template void layer_norm_grad(T*, const T*, const T*, const T*, const float*, const float*, std::int64_t,     \
                                std::int64_t, const Queue&);                                                    \
  template void layer_norm_param_grad(T*, T*, const T*, const T*, const float*, const float*, std::int64_t,     \
                                      std::int64_t, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
