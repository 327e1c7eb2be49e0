// Memory and copies of the emulated CUDA runtime.
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/device_emulator/cudart/entry.h"
#include "tests/device_emulator/engine/memory.h"
#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {
namespace {

struct Copy {
  char* to;
  std::size_t to_pitch;
  const char* from;
  std::size_t from_pitch;
  std::size_t width;
  std::size_t height;

  std::size_t span(std::size_t pitch) const { return (height - 1) * pitch + width; }
};

bool fits(cudaMemcpyKind kind, bool to_device, bool from_device) {
  switch (kind) {
    case cudaMemcpyHostToHost: return !to_device && !from_device;
    case cudaMemcpyHostToDevice: return to_device && !from_device;
    case cudaMemcpyDeviceToHost: return !to_device && from_device;
    case cudaMemcpyDeviceToDevice: return to_device && from_device;
    default: return kind == cudaMemcpyDefault;
  }
}

/// What is declared of one side of a copy: pageable host memory has no bounds that are known.
void declare(std::vector<Range>& ranges, const void* address, std::size_t bytes, bool write) {
  if (is_device_memory(address) || allocation_of(address).kind == Allocation::pinned) {
    ranges.push_back({address, bytes, write});
  }
}

void copy_now(const Copy& copy) {
  if (copy.to_pitch == copy.width && copy.from_pitch == copy.width) {
    std::memmove(copy.to, copy.from, copy.width * copy.height);
    return;
  }
  for (std::size_t row = 0; row < copy.height; ++row) {
    std::memcpy(copy.to + row * copy.to_pitch, copy.from + row * copy.from_pitch, copy.width);
  }
}

// Pageable memory: that the call of an asynchronous copy "might be synchronous" (CUDA Runtime API, "API synchronization
// behavior") is no promise, so here none is.
cudaError_t start_copy(const char* api, const Copy& copy, cudaMemcpyKind kind, cudaStream_t stream, bool wait) {
  if (copy.width == 0 || copy.height == 0) return cudaSuccess;
  const bool to_device = is_device_memory(copy.to), from_device = is_device_memory(copy.from);
  if (!fits(kind, to_device, from_device)) return cudaErrorInvalidValue;
  if (copy.width > copy.to_pitch || copy.width > copy.from_pitch) return cudaErrorInvalidValue;
  Operation operation{api, {}, {}};
  declare(operation.ranges, copy.from, copy.span(copy.from_pitch), false);
  declare(operation.ranges, copy.to, copy.span(copy.to_pitch), true);
  operation.issue = [copy] { return Execution{[copy] { copy_now(copy); }, {}}; };
  if (const cudaError_t code = enqueue(stream, std::move(operation)); code != cudaSuccess) return code;
  if (wait && !is_capturing(stream)) wait_for(find_stream(stream)->tail);
  return sticky_error();
}

cudaError_t start_fill(const char* api, void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  return enqueue(stream, operation(api, {writes(to, bytes)}, [=] { std::memset(to, value, bytes); }));
}

Copy flat(void* to, const void* from, std::size_t bytes) {
  return {static_cast<char*>(to), bytes, static_cast<const char*>(from), bytes, bytes, 1};
}

cudaError_t allocate(void** to, std::size_t bytes) {
  *to = allocate_on_device(current_device(), bytes);
  return *to == nullptr && bytes != 0 ? cudaErrorMemoryAllocation : cudaSuccess;
}

}  // namespace
}  // namespace dml::emulator

using dml::emulator::failed;

extern "C" {

cudaError_t cudaMalloc(void** to, std::size_t bytes) {
  DML_ENTER_UNSAFE("cudaMalloc");
  return failed(dml::emulator::allocate(to, bytes));
}

// Waits for all work of the device, as the real one does.
cudaError_t cudaFree(void* address) {
  DML_ENTER_UNSAFE("cudaFree");
  if (address == nullptr) return cudaSuccess;
  if (const int device = dml::emulator::device_of_address(address); device >= 0) dml::emulator::wait_for_device(device);
  return dml::emulator::free_on_device(address) ? cudaSuccess : failed(cudaErrorInvalidValue);
}

// Memory of these two is not taken from a pool: freed on the stream, it is out of reach at once.
cudaError_t cudaMallocAsync(void** to, std::size_t bytes, cudaStream_t stream) {
  DML_ENTER("cudaMallocAsync");
  if (dml::emulator::find_stream(stream) == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (dml::emulator::is_capturing(stream)) dml::emulator::violation("cudaMallocAsync in a capture is not emulated");
  return failed(dml::emulator::allocate(to, bytes));
}

cudaError_t cudaFreeAsync(void* address, cudaStream_t stream) {
  DML_ENTER("cudaFreeAsync");
  if (address == nullptr) return cudaSuccess;
  const auto found = dml::emulator::allocation_of(address);
  if (found.kind != dml::emulator::Allocation::device || found.begin != address) return failed(cudaErrorInvalidValue);
  return failed(dml::emulator::enqueue(
      stream, dml::emulator::operation("cudaFreeAsync", {}, [=] { dml::emulator::free_on_device(address); })));
}

cudaError_t cudaHostAlloc(void** to, std::size_t bytes, unsigned) {
  DML_ENTER_UNSAFE("cudaHostAlloc");
  *to = dml::emulator::allocate_on_host(bytes);
  return *to == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaMallocHost(void** to, std::size_t bytes) {
  DML_ENTER_UNSAFE("cudaMallocHost");
  *to = dml::emulator::allocate_on_host(bytes);
  return *to == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFreeHost(void* address) {
  DML_ENTER_UNSAFE("cudaFreeHost");
  if (address == nullptr) return cudaSuccess;
  dml::emulator::wait_for_device(dml::emulator::current_device());
  return dml::emulator::free_on_host(address) ? cudaSuccess : failed(cudaErrorInvalidValue);
}

cudaError_t cudaHostRegister(void* address, std::size_t bytes, unsigned) {
  DML_ENTER_UNSAFE("cudaHostRegister");
  if (dml::emulator::allocation_of(address).kind != dml::emulator::Allocation::none) {
    return failed(cudaErrorHostMemoryAlreadyRegistered);
  }
  dml::emulator::pin(address, bytes);
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* address) {
  DML_ENTER_UNSAFE("cudaHostUnregister");
  return dml::emulator::unpin(address) ? cudaSuccess : failed(cudaErrorHostMemoryNotRegistered);
}

cudaError_t cudaHostGetDevicePointer(void** to, void* address, unsigned) {
  DML_ENTER("cudaHostGetDevicePointer");
  if (dml::emulator::allocation_of(address).kind != dml::emulator::Allocation::pinned) {
    return failed(cudaErrorInvalidValue);
  }
  *to = address;
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* to, const void* address) {
  DML_ENTER("cudaPointerGetAttributes");
  *to = cudaPointerAttributes{};
  const auto found = dml::emulator::allocation_of(address);
  to->device = dml::emulator::current_device();
  if (found.kind == dml::emulator::Allocation::device) {
    to->type = cudaMemoryTypeDevice;
    to->device = found.device_index;
    to->devicePointer = const_cast<void*>(address);
  } else if (found.kind == dml::emulator::Allocation::pinned) {
    to->type = cudaMemoryTypeHost;
    to->hostPointer = to->devicePointer = const_cast<void*>(address);
  } else {
    to->type = cudaMemoryTypeUnregistered;
    to->hostPointer = const_cast<void*>(address);
  }
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  DML_ENTER_UNSAFE("cudaMemcpy");
  return failed(dml::emulator::start_copy("cudaMemcpy", dml::emulator::flat(to, from, bytes), kind, nullptr, true));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  DML_ENTER("cudaMemcpyAsync");
  return failed(dml::emulator::start_copy("cudaMemcpyAsync", dml::emulator::flat(to, from, bytes), kind,
                                          dml::emulator::stream_of_call("cudaMemcpyAsync", stream), false));
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  DML_ENTER("cudaMemcpy2DAsync");
  return failed(dml::emulator::start_copy(
      "cudaMemcpy2DAsync",
      {static_cast<char*>(to), to_pitch, static_cast<const char*>(from), from_pitch, width, height}, kind, stream,
      false));
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t bytes, cudaStream_t stream) {
  DML_ENTER("cudaMemcpyPeerAsync");
  return failed(dml::emulator::start_copy("cudaMemcpyPeerAsync", dml::emulator::flat(to, from, bytes),
                                          cudaMemcpyDeviceToDevice, stream, false));
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  DML_ENTER_UNSAFE("cudaMemset");
  return failed(dml::emulator::start_fill("cudaMemset", to, value, bytes, nullptr));
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  DML_ENTER("cudaMemsetAsync");
  return failed(dml::emulator::start_fill("cudaMemsetAsync", to, value, bytes,
                                          dml::emulator::stream_of_call("cudaMemsetAsync", stream)));
}

}  // extern "C"
