// A step as a CUDA graph: one call puts all of its kernels, copies and messages on the GPU.
#pragma once

#include <functional>
#include <memory>

#include <cuda_runtime_api.h>

#include "runtime/device/cuda/owned.h"
#include "runtime/device/device.h"

namespace dml::cuda {

/// NCCL gives a communicator up, also one that it aborts, only when no graph holds its operations any more, and waits
/// for that: graphs are dropped before their communicators are.
class CudaGraph final : public Recording {
 public:
  /// Captures what `work` puts on `stream`, and on the streams that it lets wait for this one and joins with it again.
  /// Throws DeviceError where CUDA refuses it, and what `work` throws; the stream is as before then.
  CudaGraph(cudaStream_t stream, const std::function<void()>& work);

  void replay() override;

  /// Shared with those who may have to drop it.
  using Shared = std::shared_ptr<OwnedGraphExec>;
  const Shared& shared() const { return graph_; }

 private:
  cudaStream_t stream_;
  Shared graph_;
};

}  // namespace dml::cuda
