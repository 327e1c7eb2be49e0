// Atomic operations on device and shared memory: relaxed, as in CUDA. Real ones, since blocks of several streams can
// run on several threads of the operating system.
#pragma once

#include <atomic>
#include <type_traits>

namespace dml::emulator {

template <typename T, typename Change>
T change_atomically(T* address, Change change) {
  std::atomic_ref<T> place(*address);
  T value = place.load(std::memory_order_relaxed);
  while (!place.compare_exchange_weak(value, change(value), std::memory_order_relaxed)) {
  }
  return value;
}

}  // namespace dml::emulator

template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return static_cast<T>(old + value); });
}
template <typename T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return static_cast<T>(old - value); });
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return old < value ? value : old; });
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return value < old ? value : old; });
}
template <typename T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return static_cast<T>(old | value); });
}
template <typename T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return static_cast<T>(old & value); });
}
template <typename T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T) { return value; });
}
template <typename T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return dml::emulator::change_atomically(address, [=](T old) { return old == expected ? value : old; });
}
/// old >= limit ? 0 : old + 1
inline unsigned atomicInc(unsigned* address, unsigned limit) {
  return dml::emulator::change_atomically(address, [=](unsigned old) { return old >= limit ? 0 : old + 1; });
}
