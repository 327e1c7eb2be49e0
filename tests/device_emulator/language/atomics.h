// Atomic operations on device and shared memory: relaxed, as in CUDA. Real ones, since blocks of several streams can
// run on several threads of the operating system.
#pragma once

#include <type_traits>

namespace dml::emulator {

// Not watched, where accesses of kernels are: atomic operations race with none.
template <typename T, typename Change>
__attribute__((no_sanitize_thread)) T change_atomically(T* address, Change change) {
  T value;
  __atomic_load(address, &value, __ATOMIC_RELAXED);
  for (;;) {
    T next = change(value);
    if (__atomic_compare_exchange(address, &value, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return value;
  }
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
