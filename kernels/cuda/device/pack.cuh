// Elements that a thread loads and stores at once, up to 16 bytes, and storage types as numbers to compute with.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "kernels/bf16.h"
#include "kernels/cuda/launch.cuh"

namespace dml::cuda {

inline constexpr int kPackBytes = 16;

template <typename T>
inline constexpr int kPackElems = kPackBytes / static_cast<int>(sizeof(T));

template <typename T, int kElems>
struct alignas(sizeof(T) * kElems < kPackBytes ? sizeof(T) * kElems : kPackBytes) Pack {
  T data[kElems];
};

template <int kElems, typename T>
__device__ __forceinline__ Pack<T, kElems> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, kElems>*>(p);
}
template <int kElems, typename T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T, kElems>& pack) {
  *reinterpret_cast<Pack<T, kElems>*>(p) = pack;
}

/// Whether rows of n elements of type T, one after the other from each of these addresses, are whole packs. Absent
/// operands (null) are.
template <typename T>
bool are_packs(std::int64_t n, std::initializer_list<const void*> addresses, int elems = kPackElems<T>) {
  const auto bytes = elems * sizeof(T);
  bool aligned = n % elems == 0;
  for (const void* address : addresses) aligned = aligned && reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
  return aligned;
}

/// What is computed with where T is stored.
template <typename T>
using Number = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

template <typename T>
__device__ __forceinline__ Number<T> number_of(T stored) {
  if constexpr (std::is_same_v<T, bf16>) {
    return to_float(stored);
  } else {
    return stored;
  }
}
template <typename T>
__device__ __forceinline__ T stored_as(Number<T> number) {
  if constexpr (std::is_same_v<T, bf16>) {
    return to_bf16(number);
  } else {
    return number;
  }
}

}  // namespace dml::cuda
