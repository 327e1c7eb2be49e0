// The driver, as far as programs that use the CUDA runtime look at it: whether there is one, and how old.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include "tests/device_emulator/cudart/device.h"
#include "tests/device_emulator/emulator.h"

namespace {

CUresult entered(const char* api) { return static_cast<CUresult>(dml::emulator::injected(api)); }

}  // namespace

extern "C" {

CUresult cuInit(unsigned) { return entered("cuInit"); }

CUresult cuDriverGetVersion(int* version) {
  if (const CUresult code = entered("cuDriverGetVersion"); code != CUDA_SUCCESS) return code;
  *version = dml::emulator::driver_version();
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  if (const CUresult code = entered("cuDeviceGetCount"); code != CUDA_SUCCESS) return code;
  return cudaGetDeviceCount(count) == cudaSuccess ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

}  // extern "C"
