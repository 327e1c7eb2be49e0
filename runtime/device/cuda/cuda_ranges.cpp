// Ranges of the host for profilers, by NVTX: headers alone, which load what a profiler names in the environment.
#include <cstdlib>

#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define DML_HAVE_NVTX 1
#else
#define DML_HAVE_NVTX 0
#endif

#include "runtime/device/cuda/cuda_device.h"

namespace dml::cuda {

#if DML_HAVE_NVTX

bool CudaDevice::is_profiled() const { return std::getenv("NVTX_INJECTION64_PATH") != nullptr; }
void CudaDevice::begin_range(const char* name) { nvtxRangePushA(name); }
void CudaDevice::end_range() { nvtxRangePop(); }

#else

bool CudaDevice::is_profiled() const { return false; }
void CudaDevice::begin_range(const char* /*name*/) {}
void CudaDevice::end_range() {}

#endif

}  // namespace dml::cuda
