// Threads that work on one row together, and what they agree on: sums and maxima in an order that never changes.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device/pack.cuh"

namespace dml::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr int kMaxWarps = 32;

struct Sum {
  template <typename Value>
  __device__ __forceinline__ Value operator()(Value a, Value b) const {
    return a + b;
  }
};
struct Max {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// Over `kLanes` neighbouring lanes (a power of two); all of them get the result.
template <int kLanes = kWarp, typename Op, typename Value>
__device__ __forceinline__ Value reduce_lanes(const Op& op, Value value) {
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

/// Over a block of kThreads (whole warps, a power of two); all of its threads call it and get the result.
template <int kThreads, typename Op, typename Value>
__device__ __forceinline__ Value reduce_block(const Op& op, Value value) {
  constexpr int kWarps = kThreads / kWarp;
  static_assert(kThreads % kWarp == 0 && kWarps <= kMaxWarps);
  __shared__ Value of_warps[kWarps];
  value = reduce_lanes(op, value);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) of_warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = reduce_lanes<kWarps>(op, of_warps[lane % kWarps]);
  __syncthreads();  // the next call writes of_warps again
  return value;
}

/// kThreads threads on a row: one, a warp, or a block.
template <int kThreads>
struct Team {
  static constexpr int kBlock = kThreads > 128 ? kThreads : 128;
  static constexpr int kRows = kBlock / kThreads;  ///< of a block

  __device__ static std::int64_t row() { return std::int64_t{blockIdx.x} * kRows + threadIdx.x / kThreads; }
  __device__ static int thread() { return static_cast<int>(threadIdx.x) % kThreads; }

  template <typename Op, typename Value>
  __device__ static Value reduce(const Op& op, Value value) {
    if constexpr (kThreads == 1) {
      return value;
    } else if constexpr (kThreads == kWarp) {
      return reduce_lanes(op, value);
    } else {
      return reduce_block<kThreads>(op, value);
    }
  }
  template <typename Value>
  __device__ static Value sum(Value value) {
    return reduce(Sum{}, value);
  }
};

/// body(pack, index of its first element) for the packs of a row of n elements that are the thread's; n is a multiple
/// of kElems.
template <int kThreads, int kElems, typename T, typename Body>
__device__ __forceinline__ void for_each_pack(const T* row, std::int64_t n, const Body& body) {
  for (std::int64_t i = std::int64_t{Team<kThreads>::thread()} * kElems; i < n; i += kThreads * kElems) {
    body(load_pack<kElems>(row + i), i);
  }
}

inline constexpr int kWideRow = 256;

/// launch(threads, elems), both integral constants, as suits rows of n elements: a warp or a block of kWideRow threads
/// on each, in packs where `packed`.
template <typename T, typename Launch>
void for_row_width(std::int64_t n, bool packed, const Launch& launch) {
  constexpr std::int64_t kOfAWarp = 1024;
  const auto with_threads = [&](auto threads) {
    if (packed) {
      launch(threads, std::integral_constant<int, kPackElems<T>>{});
    } else {
      launch(threads, std::integral_constant<int, 1>{});
    }
  };
  if (n <= kOfAWarp) {
    with_threads(std::integral_constant<int, kWarp>{});
  } else {
    with_threads(std::integral_constant<int, kWideRow>{});
  }
}

}  // namespace dml::cuda
