// What every entry point of the emulated CUDA runtime begins and ends with.
#pragma once

#include <cuda_runtime_api.h>

#include "tests/device_emulator/emulator.h"

namespace dml::emulator {

/// The calling thread's last error becomes `code`, unless that is success. Returns it; success for a call that is left
/// out.
cudaError_t failed(cudaError_t code);

/// Success, or why a call of `api` cannot go on: an injected failure, an earlier fault of running work, a call from
/// within a function that a stream runs on the host.
cudaError_t enter(const char* api);
/// The same for a call that allocates or synchronises, which a capture does not allow: that ends the capture.
cudaError_t enter_unsafe(const char* api);

}  // namespace dml::emulator

#define DML_ENTER(api) \
  if (const cudaError_t code = ::dml::emulator::enter(api); code != cudaSuccess) return ::dml::emulator::failed(code)
#define DML_ENTER_UNSAFE(api)                                                           \
  if (const cudaError_t code = ::dml::emulator::enter_unsafe(api); code != cudaSuccess) \
  return ::dml::emulator::failed(code)
