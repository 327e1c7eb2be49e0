#include "runtime/device/cuda/owned.h"

#include "kernels/cuda/check.h"

namespace dml::cuda {

OwnedStream make_stream() {
  cudaStream_t stream = nullptr;
  DML_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return OwnedStream(stream);
}

OwnedEvent make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  DML_CUDA(cudaEventCreateWithFlags(&event, flags));
  return OwnedEvent(event);
}

}  // namespace dml::cuda
