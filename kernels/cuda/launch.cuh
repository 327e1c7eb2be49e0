// How kernels are written and launched: the only way to the device language. Kernels are functions in named namespaces,
// with trivially copyable arguments.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

#include "kernels/cuda/check.h"
#include "kernels/cuda/queue.h"

// Dynamic shared memory of a block, as an array of T. A device language of another compiler brings its own.
#ifndef DML_SHARED
#define DML_SHARED(T, name)                                           \
  extern __shared__ __align__(16) unsigned char dml_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(dml_dynamic_shared)
#endif
// Called for every kernel that is launched somewhere; for device languages that must know them in advance.
#ifndef DML_KERNEL_IS_LAUNCHED
#define DML_KERNEL_IS_LAUNCHED(kernel)
#endif

namespace dml::cuda {

inline constexpr int kWarp = 32;

template <auto kernel>
struct Launcher;
template <typename... Parameters, void (*kernel)(Parameters...)>
struct Launcher<kernel> {
  static void launch(dim3 grid, dim3 block, std::size_t shared_bytes, Stream stream,
                     std::remove_cv_t<Parameters>... arguments) {
    void* pointers[] = {static_cast<void*>(&arguments)..., nullptr};
    check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, shared_bytes, stream),
          "cudaLaunchKernel");
  }
};

/// Puts `kernel` on the queue. A grid without blocks is no launch. Throws DeviceError.
template <auto kernel, typename... Arguments>
void launch(dim3 grid, dim3 block, std::size_t shared_bytes, const Queue& queue, const Arguments&... arguments) {
  DML_KERNEL_IS_LAUNCHED(kernel);
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  Launcher<kernel>::launch(grid, block, shared_bytes, queue.stream, arguments...);
}

/// Blocks of `per_block` that hold n.
inline unsigned blocks_of(long long n, long long per_block) {
  return static_cast<unsigned>((n + per_block - 1) / per_block);
}

}  // namespace dml::cuda
