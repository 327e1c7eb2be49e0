// CUDA's return codes as errors.
#pragma once

#include <cuda_runtime_api.h>

namespace dml::cuda {

/// Throws DeviceError that names the call, the code and its text unless `code` is success.
void check(cudaError_t code, const char* call);

}  // namespace dml::cuda

/// Calls the CUDA runtime; throws DeviceError that names the call where it fails.
#define DML_CUDA(call) ::dml::cuda::check((call), #call)
