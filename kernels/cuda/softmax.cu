// Along the last dim a warp or a block takes a row; along another one a thread takes a column, beside its neighbours.
#include "kernels/softmax.h"

#include "kernels/cuda/device/online_softmax.cuh"

namespace dml::cuda {
namespace kernels {

enum class SoftmaxForm { plain, logarithm };

template <SoftmaxForm kForm>
__device__ __forceinline__ float softmax_of(float x, const OnlineSoftmax& row) {
  if constexpr (kForm == SoftmaxForm::plain) return expf(x - row.maximum) / row.sum;
  return x - row.maximum - logf(row.sum);
}
/// What is summed over a row for the gradient.
template <SoftmaxForm kForm>
__device__ __forceinline__ float softmax_grad_term(float dy, float y) {
  return kForm == SoftmaxForm::plain ? dy * y : dy;
}
template <SoftmaxForm kForm>
__device__ __forceinline__ float softmax_grad_of(float dy, float y, float sum) {
  return kForm == SoftmaxForm::plain ? y * (dy - sum) : dy - expf(y) * sum;
}

template <SoftmaxForm kForm, int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    softmax_rows(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  const std::int64_t row = Team<kThreads>::row();
  if (row >= rows) return;
  const OnlineSoftmax statistics = softmax_statistics<kThreads, kElems>(x + row * n, n);
  for_each_pack<kThreads, kElems>(x + row * n, n, [&](const Pack<T, kElems>& pack, std::int64_t at) {
    Pack<T, kElems> result;
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      result.data[i] = stored_as<T>(softmax_of<kForm>(number_of(pack.data[i]), statistics));
    }
    store_pack(y + row * n + at, result);
  });
}

template <SoftmaxForm kForm, int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    softmax_grad_rows(T* dx, const T* dy, const T* y, std::int64_t rows, std::int64_t n) {
  const std::int64_t row = Team<kThreads>::row();
  if (row >= rows) return;
  float sum = 0;
  for_each_pack<kThreads, kElems>(dy + row * n, n, [&](const Pack<T, kElems>& d, std::int64_t at) {
    const auto v = load_pack<kElems>(y + row * n + at);
#pragma unroll
    for (int i = 0; i < kElems; ++i) sum += softmax_grad_term<kForm>(number_of(d.data[i]), number_of(v.data[i]));
  });
  sum = Team<kThreads>::sum(sum);
  for_each_pack<kThreads, kElems>(dy + row * n, n, [&](const Pack<T, kElems>& d, std::int64_t at) {
    const auto v = load_pack<kElems>(y + row * n + at);
    Pack<T, kElems> result;
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      result.data[i] = stored_as<T>(softmax_grad_of<kForm>(number_of(d.data[i]), number_of(v.data[i]), sum));
    }
    store_pack(dx + row * n + at, result);
  });
}

inline constexpr int kColumnThreads = 128;

/// First element of the thread's column of [outer, n, inner], or -1.
__device__ inline std::int64_t column_begin(std::int64_t outer, std::int64_t n, std::int64_t inner) {
  const std::int64_t column = std::int64_t{blockIdx.x} * kColumnThreads + threadIdx.x;
  return column < outer * inner ? column / inner * n * inner + column % inner : -1;
}

template <SoftmaxForm kForm, typename T>
__global__ void __launch_bounds__(kColumnThreads)
    softmax_columns(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  const std::int64_t begin = column_begin(outer, n, inner);
  if (begin < 0) return;
  const std::int64_t end = begin + n * inner;
  OnlineSoftmax statistics;
  for (std::int64_t i = begin; i < end; i += inner) statistics.add<1>({number_of(x[i])});
  for (std::int64_t i = begin; i < end; i += inner) {
    y[i] = stored_as<T>(softmax_of<kForm>(number_of(x[i]), statistics));
  }
}

template <SoftmaxForm kForm, typename T>
__global__ void __launch_bounds__(kColumnThreads)
    softmax_grad_columns(T* dx, const T* dy, const T* y, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  const std::int64_t begin = column_begin(outer, n, inner);
  if (begin < 0) return;
  const std::int64_t end = begin + n * inner;
  float sum = 0;
  for (std::int64_t i = begin; i < end; i += inner) sum += softmax_grad_term<kForm>(number_of(dy[i]), number_of(y[i]));
  for (std::int64_t i = begin; i < end; i += inner) {
    dx[i] = stored_as<T>(softmax_grad_of<kForm>(number_of(dy[i]), number_of(y[i]), sum));
  }
}

}  // namespace kernels

namespace {

using kernels::SoftmaxForm;

template <SoftmaxForm kForm, typename T>
void forward(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, const Queue& queue) {
  if (inner != 1) {
    constexpr int kThreads = kernels::kColumnThreads;
    return launch<kernels::softmax_columns<kForm, T>>(blocks_of(outer * inner, kThreads), kThreads, 0, queue, y, x,
                                                      outer, n, inner);
  }
  for_row_width<T>(n, are_packs<T>(n, {y, x}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    launch<kernels::softmax_rows<kForm, threads, elems, T>>(blocks_of(outer, Row::kRows), Row::kBlock, 0, queue, y, x,
                                                            outer, n);
  });
}

template <SoftmaxForm kForm, typename T>
void backward(T* dx, const T* dy, const T* y, std::int64_t outer, std::int64_t n, std::int64_t inner,
              const Queue& queue) {
  if (inner != 1) {
    constexpr int kThreads = kernels::kColumnThreads;
    return launch<kernels::softmax_grad_columns<kForm, T>>(blocks_of(outer * inner, kThreads), kThreads, 0, queue, dx,
                                                           dy, y, outer, n, inner);
  }
  for_row_width<T>(n, are_packs<T>(n, {dx, dy, y}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    launch<kernels::softmax_grad_rows<kForm, threads, elems, T>>(blocks_of(outer, Row::kRows), Row::kBlock, 0, queue,
                                                                 dx, dy, y, outer, n);
  });
}

}  // namespace

template <typename T>
void softmax(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, const Queue& queue) {
  forward<SoftmaxForm::plain>(y, x, outer, n, inner, queue);
}
template <typename T>
void log_softmax(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, const Queue& queue) {
  forward<SoftmaxForm::logarithm>(y, x, outer, n, inner, queue);
}
template <typename T>
void softmax_grad(T* dx, const T* dy, const T* y, std::int64_t outer, std::int64_t n, std::int64_t inner,
                  const Queue& queue) {
  backward<SoftmaxForm::plain>(dx, dy, y, outer, n, inner, queue);
}
template <typename T>
void log_softmax_grad(T* dx, const T* dy, const T* y, std::int64_t outer, std::int64_t n, std::int64_t inner,
                      const Queue& queue) {
  backward<SoftmaxForm::logarithm>(dx, dy, y, outer, n, inner, queue);
}

#define DML_INSTANTIATE(T)                                                                                    \
  template void softmax(T*, const T*, std::int64_t, std::int64_t, std::int64_t, const Queue&);                \
  template void log_softmax(T*, const T*, std::int64_t, std::int64_t, std::int64_t, const Queue&);            \
  template void softmax_grad(T*, const T*, const T*, std::int64_t, std::int64_t, std::int64_t, const Queue&); \
  template void log_softmax_grad(T*, const T*, const T*, std::int64_t, std::int64_t, std::int64_t, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
