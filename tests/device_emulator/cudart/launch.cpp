// Kernel launches of the emulated CUDA runtime, and what nvcc's host code registers.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/device_emulator/cudart/device.h"
#include "tests/device_emulator/cudart/entry.h"
#include "tests/device_emulator/engine/block.h"
#include "tests/device_emulator/engine/kernels.h"
#include "tests/device_emulator/engine/settings.h"

namespace dml::emulator {
namespace {

constexpr unsigned kMostThreads = 1024;

bool is_valid(dim3 grid, dim3 block) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) return false;
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return false;
  if (block.x > kMostThreads || block.y > kMostThreads || block.z > 64) return false;
  return block.x * block.y * block.z <= kMostThreads;
}

/// The arguments of one launch, held until it has run, or as long as the graph that it was captured into.
using Packed = std::shared_ptr<std::vector<std::max_align_t>>;

Packed pack(const Kernel& kernel, void** arguments) {
  auto packed = std::make_shared<std::vector<std::max_align_t>>(kernel.argument_bytes / sizeof(std::max_align_t) + 1);
  kernel.pack(arguments, packed->data());
  return packed;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared_bytes,
                   cudaStream_t stream) {
  const FoundKernel& found = find_kernel(function);
  if (found.kernel == nullptr) {
    std::fprintf(stderr, "emulator: no kernel %s in EMULATOR_KERNELS=%s\n", found.name.c_str(),
                 settings().kernels.c_str());
    return cudaErrorNoKernelImageForDevice;
  }
  if (!is_valid(grid, block)) return cudaErrorInvalidConfiguration;
  if (shared_bytes > shared_limit(function)) return cudaErrorInvalidValue;
  const Packed packed = pack(*found.kernel, arguments);
  const Kernel* kernel = found.kernel;
  const char* name = found.name.c_str();
  static thread_local std::uint64_t number = 0;
  const std::uint64_t seed = number++;
  return enqueue(stream_of_call(name, stream, true), operation(name, {}, [=] {
                   run_grid({kernel, name, grid, block, shared_bytes, seed}, packed->data());
                 }));
}

struct Configuration {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes;
  void* stream;
};
thread_local std::vector<Configuration> configurations;

}  // namespace
}  // namespace dml::emulator

using dml::emulator::failed;

extern "C" {

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared_bytes,
                             cudaStream_t stream) {
  DML_ENTER("cudaLaunchKernel");
  return failed(dml::emulator::launch(function, grid, block, arguments, shared_bytes, stream));
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* how, const void* function, void** arguments) {
  DML_ENTER("cudaLaunchKernelExC");
  if (how->numAttrs != 0) dml::emulator::violation("attributes of a launch are not emulated");
  return failed(
      dml::emulator::launch(function, how->gridDim, how->blockDim, arguments, how->dynamicSmemBytes, how->stream));
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  DML_ENTER("cudaFuncSetAttribute");
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return failed(cudaErrorInvalidValue);
  const auto most = static_cast<int>(dml::emulator::shared_bytes_optin());
  if (value < 0 || value > most) return failed(cudaErrorInvalidValue);
  dml::emulator::set_shared_limit(function, static_cast<std::size_t>(value));
  return cudaSuccess;
}

// Registers and local memory are known to nvcc alone.
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* to, const void* function) {
  DML_ENTER("cudaFuncGetAttributes");
  if (dml::emulator::find_kernel(function).kernel == nullptr) return failed(cudaErrorInvalidDeviceFunction);
  *to = cudaFuncAttributes{};
  to->maxThreadsPerBlock = dml::emulator::kMostThreads;
  to->numRegs = 32;
  to->maxDynamicSharedSizeBytes = static_cast<int>(dml::emulator::shared_limit(function));
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads, std::size_t) {
  DML_ENTER("cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  *blocks = std::clamp(2048 / std::max(threads, 1), 1, 32);
  return cudaSuccess;
}

// What nvcc's host code calls before main and around <<<>>>.

void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }

void __cudaRegisterFunction(void**, const char* host_function, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
  dml::emulator::name_kernel(host_function, name);
}

void __cudaRegisterVar(void**, char*, char*, const char* name, int, std::size_t, int, int) {
  dml::emulator::violation(std::string("the global device variable ") + name + ": they are not emulated");
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, void* stream) {
  dml::emulator::configurations.push_back({grid, block, shared_bytes, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream) {
  auto& all = dml::emulator::configurations;
  if (all.empty()) return cudaErrorMissingConfiguration;
  *grid = all.back().grid;
  *block = all.back().block;
  *shared_bytes = all.back().shared_bytes;
  *static_cast<void**>(stream) = all.back().stream;
  all.pop_back();
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* to, const void* function) {
  *to = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared_bytes,
                               cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream);
}

}  // extern "C"
