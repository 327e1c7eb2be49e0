// A build without CUDA.
#include "kernels/error.h"
#include "runtime/device/device.h"

namespace dml {
namespace {

constexpr const char* kWhy = "this dmltrain was built without CUDA";

}  // namespace

std::unique_ptr<Device> make_cuda_device(int /*ordinal*/, bool /*tf32*/) { throw DeviceError(kWhy); }

GpuCount count_gpus() { return {0, kWhy, false}; }

}  // namespace dml
