// Elements of a range that begins anywhere and ends inside a pack. Threads whose elements lie behind the end read and
// write nothing.
#pragma once

#include "kernels/cuda/device/pack.cuh"

namespace dml::cuda {

/// Index of the first of the kElems neighbouring elements that are the thread's, in a grid of one dim.
template <int kElems>
__device__ __forceinline__ std::int64_t first_of_thread() {
  return (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kElems;
}

template <int kElems, typename T>
__device__ __forceinline__ bool is_pack(const T* x, std::int64_t first, std::int64_t n) {
  return first + kElems <= n && reinterpret_cast<std::uintptr_t>(x) % alignof(Pack<T, kElems>) == 0;
}

/// x[first, first + kElems) of n elements; those from n on are unspecified. One access where x is aligned.
template <int kElems, typename T>
__device__ __forceinline__ Pack<T, kElems> load_range(const T* x, std::int64_t first, std::int64_t n) {
  if (is_pack<kElems>(x, first, n)) return load_pack<kElems>(x + first);
  Pack<T, kElems> pack{};
#pragma unroll
  for (int i = 0; i < kElems; ++i) {
    if (first + i < n) pack.data[i] = x[first + i];
  }
  return pack;
}

template <int kElems, typename T>
__device__ __forceinline__ void store_range(T* x, std::int64_t first, std::int64_t n, const Pack<T, kElems>& pack) {
  if (is_pack<kElems>(x, first, n)) {
    store_pack<kElems>(x + first, pack);
    return;
  }
#pragma unroll
  for (int i = 0; i < kElems; ++i) {
    if (first + i < n) x[first + i] = pack.data[i];
  }
}

}  // namespace dml::cuda
