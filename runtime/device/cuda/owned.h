// Streams, events, graphs and memory of CUDA, which end with their owner. What fails then fails because the device did
// before, and that was told then.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include <cuda_runtime_api.h>

namespace dml::cuda {

template <auto kGiveBack>
struct GiveBack {
  template <typename T>
  void operator()(T* owned) const {
    static_cast<void>(kGiveBack(owned));
  }
};

/// Of what NCCL waits for before it gives up a communicator whose operations are in it.
struct GiveBackGraph {
  /// A graph of this process stayed: no communicator may be given up any more, they stay with it.
  static inline std::atomic<bool> failed = false;

  void operator()(cudaGraph_t graph) const { note(cudaGraphDestroy(graph)); }
  void operator()(cudaGraphExec_t graph) const { note(cudaGraphExecDestroy(graph)); }

 private:
  static void note(cudaError_t code) {
    if (code != cudaSuccess) failed = true;
  }
};

using OwnedStream = std::unique_ptr<CUstream_st, GiveBack<cudaStreamDestroy>>;
using OwnedEvent = std::unique_ptr<CUevent_st, GiveBack<cudaEventDestroy>>;
using OwnedGraph = std::unique_ptr<CUgraph_st, GiveBackGraph>;
using OwnedGraphExec = std::unique_ptr<CUgraphExec_st, GiveBackGraph>;
using DeviceBytes = std::unique_ptr<std::byte, GiveBack<cudaFree>>;
using PinnedBytes = std::unique_ptr<void, GiveBack<cudaFreeHost>>;

/// A stream that does not wait for the default one. Throws DeviceError.
OwnedStream make_stream();
/// `flags` as cudaEventCreateWithFlags has them. Throws DeviceError.
OwnedEvent make_event(unsigned flags);

}  // namespace dml::cuda
