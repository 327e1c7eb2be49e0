// Devices of the emulated CUDA runtime: those of settings(), all of the same model.
#undef cudaGetDeviceProperties
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/device_emulator/cudart/device.h"
#include "tests/device_emulator/cudart/entry.h"
#include "tests/device_emulator/engine/memory.h"
#include "tests/device_emulator/engine/settings.h"
#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {
namespace {

thread_local int device_in_use = 0;

/// What differs between the models (CUDA C++ Programming Guide, compute capabilities).
struct Model {
  const char* name;
  int major;
  int num_multiprocessors;
  std::size_t shared_per_multiprocessor;
  std::size_t shared_per_block_optin;
  int l2_bytes;
};
constexpr Model kV100 = {"Tesla V100-SXM2-32GB (emulated)", 7, 80, 96u << 10, 96u << 10, 6 << 20};
constexpr Model kA100 = {"NVIDIA A100-SXM4-80GB (emulated)", 8, 108, 164u << 10, 163u << 10, 40 << 20};
constexpr Model kH100 = {"NVIDIA H100 80GB HBM3 (emulated)", 9, 132, 228u << 10, 227u << 10, 50 << 20};

const Model& model() {
  if (settings().model == "v100") return kV100;
  return settings().model == "h100" ? kH100 : kA100;
}
bool is_device(int device) { return device >= 0 && device < settings().devices; }

}  // namespace

int current_device() { return device_in_use; }
std::size_t shared_bytes_optin() { return model().shared_per_block_optin; }
int driver_version() { return settings().driver_version == 0 ? CUDART_VERSION : settings().driver_version; }

}  // namespace dml::emulator

using dml::emulator::failed;
using dml::emulator::settings;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  DML_ENTER("cudaGetDeviceCount");
  *count = settings().devices;
  return *count == 0 ? failed(cudaErrorNoDevice) : cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  DML_ENTER("cudaSetDevice");
  if (!dml::emulator::is_device(device)) return failed(cudaErrorInvalidDevice);
  dml::emulator::device_in_use = device;
  return cudaSuccess;
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  DML_ENTER("cudaInitDevice");
  return dml::emulator::is_device(device) ? cudaSuccess : failed(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int* device) {
  DML_ENTER("cudaGetDevice");
  *device = dml::emulator::device_in_use;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* to, int device) {
  DML_ENTER("cudaGetDeviceProperties");
  if (!dml::emulator::is_device(device)) return failed(cudaErrorInvalidDevice);
  const auto& model = dml::emulator::model();
  *to = cudaDeviceProp{};
  std::snprintf(to->name, sizeof to->name, "%s", model.name);
  to->uuid.bytes[15] = static_cast<char>(device);
  to->totalGlobalMem = settings().memory_bytes;
  to->sharedMemPerBlock = 48u << 10;
  to->sharedMemPerBlockOptin = model.shared_per_block_optin;
  to->sharedMemPerMultiprocessor = model.shared_per_multiprocessor;
  to->reservedSharedMemPerBlock = 1024;
  to->regsPerBlock = to->regsPerMultiprocessor = 65536;
  to->warpSize = 32;
  to->maxThreadsPerBlock = 1024;
  to->maxThreadsPerMultiProcessor = 2048;
  to->maxBlocksPerMultiProcessor = 32;
  to->maxThreadsDim[0] = to->maxThreadsDim[1] = 1024;
  to->maxThreadsDim[2] = 64;
  to->maxGridSize[0] = 0x7fffffff;
  to->maxGridSize[1] = to->maxGridSize[2] = 65535;
  to->totalConstMem = 64u << 10;
  to->major = model.major;
  to->multiProcessorCount = model.num_multiprocessors;
  to->l2CacheSize = model.l2_bytes;
  to->memoryBusWidth = 5120;
  to->concurrentKernels = to->asyncEngineCount = to->unifiedAddressing = to->streamPrioritiesSupported = 1;
  to->canMapHostMemory = to->hostRegisterSupported = to->computePreemptionSupported = 1;
  to->pciBusID = device + 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  DML_ENTER("cudaDeviceGetAttribute");
  if (!dml::emulator::is_device(device)) return failed(cudaErrorInvalidDevice);
  const auto& model = dml::emulator::model();
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = model.num_multiprocessors; break;
    case cudaDevAttrComputeCapabilityMajor: *value = model.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = 32; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 << 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(model.shared_per_block_optin); break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = static_cast<int>(model.shared_per_multiprocessor); break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = 65536; break;
    case cudaDevAttrL2CacheSize: *value = model.l2_bytes; break;
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrConcurrentKernels: *value = 1; break;
    default:
      dml::emulator::violation("cudaDeviceGetAttribute: attribute " + std::to_string(attribute) + " is not emulated");
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int device) {
  DML_ENTER("cudaDeviceGetPCIBusId");
  if (!dml::emulator::is_device(device)) return failed(cudaErrorInvalidDevice);
  std::snprintf(text, static_cast<std::size_t>(bytes), "0000:%02x:00.0", static_cast<unsigned>(device + 1));
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  DML_ENTER("cudaDeviceCanAccessPeer");
  *can = device != peer ? 1 : 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  DML_ENTER("cudaDeviceEnablePeerAccess");
  return dml::emulator::is_device(peer) ? cudaSuccess : failed(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  DML_ENTER("cudaDeviceGetStreamPriorityRange");
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaSetDeviceFlags(unsigned) {
  DML_ENTER("cudaSetDeviceFlags");
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  DML_ENTER_UNSAFE("cudaDeviceSynchronize");
  dml::emulator::wait_for_device(dml::emulator::device_in_use);
  return failed(dml::emulator::sticky_error());
}

cudaError_t cudaDeviceReset() {
  DML_ENTER_UNSAFE("cudaDeviceReset");
  dml::emulator::wait_for_device(dml::emulator::device_in_use);
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  DML_ENTER("cudaRuntimeGetVersion");
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  DML_ENTER("cudaDriverGetVersion");
  *version = dml::emulator::driver_version();
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  DML_ENTER("cudaMemGetInfo");
  *total = settings().memory_bytes;
  *free = *total - dml::emulator::bytes_used(dml::emulator::device_in_use);
  return cudaSuccess;
}

cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

}  // extern "C"
