#include "kernels/cuda/check.h"

#include <string>

#include <fmt/format.h>

#include "kernels/error.h"

namespace dml::cuda {

void check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  const std::string text(call);
  throw DeviceError(fmt::format("{} failed: {} ({})", text.substr(0, text.find('(')), cudaGetErrorString(code),
                                cudaGetErrorName(code)));
}

}  // namespace dml::cuda
