// How operations come onto streams, or into the graph that a stream is captured into.
#include <cstdio>
#include <memory>
#include <utility>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/capture.h"
#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {
namespace {

// The default stream would make captured streams wait for work that is not in the graph.
cudaError_t default_stream_fault() {
  Capture* capture = forbidding_capture();
  if (capture == nullptr) return cudaSuccess;
  capture->invalidate();
  return cudaErrorStreamCaptureImplicit;
}

cudaError_t ranges_fault(const Operation& operation) {
  for (const Range& range : operation.ranges) {
    const std::string fault = range_fault(range.address, range.bytes);
    if (fault.empty()) continue;
    std::fprintf(stderr, "emulator: %s %s %zu bytes at %p, which %s\n", operation.name.c_str(),
                 range.write ? "writes" : "reads", range.bytes, range.address, fault.c_str());
    return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

}  // namespace

cudaError_t enqueue(cudaStream_t handle, Operation operation) {
  CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t code = sticky_error(); code != cudaSuccess) return code;
  if (const cudaError_t code = ranges_fault(operation); code != cudaSuccess) return code;
  if (const std::shared_ptr<Capture> capture = stream->capture) {
    if (!capture->is_valid()) return cudaErrorStreamCaptureInvalidated;
    capture->add(*stream, std::move(operation));
    return cudaSuccess;
  }
  if (handle != stream) {
    if (const cudaError_t code = default_stream_fault(); code != cudaSuccess) return code;
  }
  issue(*stream, operation);
  return cudaSuccess;
}

bool is_capturing(cudaStream_t stream) {
  const CUstream_st* found = find_stream(stream);
  return found != nullptr && found->capture != nullptr;
}

}  // namespace dml::emulator
