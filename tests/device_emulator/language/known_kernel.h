// Every kernel that is launched somewhere makes itself known when its library is loaded.
#pragma once

#include <cstddef>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {

// The loader gives a thread its copy of a library's variables at the first touch.
static thread_local volatile char shared_anchor;
static inline void touch_shared() { shared_anchor = 0; }

template <auto kernel>
struct KnownKernel;

template <typename... Parameters, void (*kernel)(Parameters...)>
struct KnownKernel<kernel> {
  using Arguments = std::tuple<std::remove_cv_t<Parameters>...>;
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "a kernel's arguments are copied as bytes");

  static void call(const void* arguments) { std::apply(kernel, *static_cast<const Arguments*>(arguments)); }
  static void pack(void** from, void* to) { pack_each(from, to, std::index_sequence_for<Parameters...>{}); }
  /// Mentioned where the kernel is launched, so that this template exists for it.
  __attribute__((used)) static void use() { (void)&known; }

 private:
  template <std::size_t... index>
  static void pack_each([[maybe_unused]] void** from, void* to, std::index_sequence<index...>) {
    ::new (to) Arguments(*static_cast<std::remove_cv_t<Parameters>*>(from[index])...);
  }
  struct Add {
    Add() { add_kernel({reinterpret_cast<const void*>(kernel), &call, &pack, sizeof(Arguments), &touch_shared}); }
  };
  static inline Add known{};
};

}  // namespace dml::emulator
