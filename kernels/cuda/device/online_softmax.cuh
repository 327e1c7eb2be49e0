// Maximum and sum of exponentials of a row in one pass (Milakov and Gimelshein, 2018).
#pragma once

#include "kernels/cuda/device/team.cuh"

namespace dml::cuda {

/// -inf as a shift would make NaN of -inf scores; their exponentials are 0 with any finite one.
__device__ __forceinline__ float finite_shift(float maximum) { return maximum == -INFINITY ? 0.0f : maximum; }

/// sum = Σ exp(x - maximum) of the elements so far.
struct OnlineSoftmax {
  float maximum = -INFINITY;
  float sum = 0;

  template <int kElems>
  __device__ __forceinline__ void add(const float (&x)[kElems]) {
    float greatest = maximum;
#pragma unroll
    for (int i = 0; i < kElems; ++i) greatest = fmaxf(greatest, x[i]);
    const float shift = finite_shift(greatest);
    sum *= expf(finite_shift(maximum) - shift);
#pragma unroll
    for (int i = 0; i < kElems; ++i) sum += expf(x[i] - shift);
    maximum = greatest;
  }

  /// Of the rows of the threads of a team, put together.
  template <typename Team>
  __device__ __forceinline__ OnlineSoftmax merged() const {
    OnlineSoftmax all;
    all.maximum = Team::reduce(Max{}, maximum);
    all.sum = Team::sum(sum * expf(finite_shift(maximum) - finite_shift(all.maximum)));
    return all;
  }
};

/// The same of one row of n elements.
template <int kThreads, int kElems, typename T>
__device__ __forceinline__ OnlineSoftmax softmax_statistics(const T* row, std::int64_t n) {
  OnlineSoftmax mine;
  for_each_pack<kThreads, kElems>(row, n, [&](const Pack<T, kElems>& pack, std::int64_t) {
    float x[kElems];
#pragma unroll
    for (int i = 0; i < kElems; ++i) x[i] = number_of(pack.data[i]);
    mine.add(x);
  });
  return mine.merged<Team<kThreads>>();
}

}  // namespace dml::cuda
