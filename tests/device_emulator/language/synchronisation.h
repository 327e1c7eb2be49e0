// Barriers, votes and exchanges between the threads of a block and the lanes of a warp.
#pragma once

#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {

inline constexpr unsigned kAllLanes = 0xffffffffu;
// What a lane gets from one that takes no part: undefined on a GPU, a NaN here.
inline constexpr std::uint64_t kNoValue = 0x7ff7dead7fd7deadu;

inline Site site_of(const std::source_location& here) { return {here.file_name(), here.line(), here.column()}; }

template <typename T>
std::uint64_t bits_of(T value) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename T>
T value_of(std::uint64_t bits) {
  T value;
  std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
  return value;
}

template <typename T>
T shuffle(unsigned mask, T value, int source, bool in_segment) {
  const int lane = static_cast<int>(running_thread->lane);
  unsigned present = 0;
  const std::uint64_t* values = exchange_in_warp(mask, bits_of(value), present);
  if (!in_segment) source = lane;
  return value_of<T>((present >> source & 1u) != 0 ? values[source] : kNoValue);
}

template <typename T, typename Combine>
T reduce_in_warp(unsigned mask, T value, Combine combine) {
  unsigned present = 0;
  const std::uint64_t* values = exchange_in_warp(mask, bits_of(value), present);
  T result{};
  bool first = true;
  for (int lane = 0; lane < 32; ++lane) {
    if ((present >> lane & 1u) == 0) continue;
    const T other = value_of<T>(values[lane]);
    result = first ? other : combine(result, other);
    first = false;
  }
  return result;
}

}  // namespace dml::emulator

inline void __syncthreads(std::source_location here = std::source_location::current()) {
  dml::emulator::wait_for_block(dml::emulator::site_of(here));
}
inline int __syncthreads_count(int predicate, std::source_location here = std::source_location::current()) {
  return dml::emulator::vote_of_block(predicate != 0, dml::emulator::Vote::count, dml::emulator::site_of(here));
}
inline int __syncthreads_and(int predicate, std::source_location here = std::source_location::current()) {
  return dml::emulator::vote_of_block(predicate != 0, dml::emulator::Vote::all, dml::emulator::site_of(here));
}
inline int __syncthreads_or(int predicate, std::source_location here = std::source_location::current()) {
  return dml::emulator::vote_of_block(predicate != 0, dml::emulator::Vote::any, dml::emulator::site_of(here));
}
inline void __syncwarp(unsigned mask = dml::emulator::kAllLanes) {
  unsigned present = 0;
  dml::emulator::exchange_in_warp(mask, 0, present);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// Within segments of `width` lanes, a power of two up to 32.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = static_cast<int>(dml::emulator::running_thread->lane);
  return dml::emulator::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), true);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32) {
  const int lane = static_cast<int>(dml::emulator::running_thread->lane);
  const int source = lane ^ distance;
  return dml::emulator::shuffle(mask, value, source, source < (lane & ~(width - 1)) + width);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  const int lane = static_cast<int>(dml::emulator::running_thread->lane);
  const int source = lane + static_cast<int>(distance);
  return dml::emulator::shuffle(mask, value, source, source < (lane & ~(width - 1)) + width);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  const int lane = static_cast<int>(dml::emulator::running_thread->lane);
  const int source = lane - static_cast<int>(distance);
  return dml::emulator::shuffle(mask, value, source, source >= (lane & ~(width - 1)));
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  unsigned present = 0;
  const std::uint64_t* values = dml::emulator::exchange_in_warp(mask, predicate != 0 ? 1 : 0, present);
  unsigned ballot = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((present >> lane & 1u) != 0 && values[lane] != 0) ballot |= 1u << lane;
  }
  return ballot;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0 ? 1 : 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0 ? 1 : 0; }
inline unsigned __activemask() { return __ballot_sync(dml::emulator::kAllLanes, 1); }

template <typename T>
T __reduce_add_sync(unsigned mask, T value) {
  return dml::emulator::reduce_in_warp(mask, value, [](T a, T b) { return static_cast<T>(a + b); });
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value) {
  return dml::emulator::reduce_in_warp(mask, value, [](T a, T b) { return a < b ? b : a; });
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value) {
  return dml::emulator::reduce_in_warp(mask, value, [](T a, T b) { return b < a ? b : a; });
}
