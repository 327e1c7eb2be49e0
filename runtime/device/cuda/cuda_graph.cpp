#include "runtime/device/cuda/cuda_graph.h"

#include <memory>

#include "kernels/cuda/check.h"

namespace dml::cuda {
namespace {

struct DestroyGraph {
  void operator()(CUgraph_st* graph) const { static_cast<void>(cudaGraphDestroy(graph)); }
};
using CapturedGraph = std::unique_ptr<CUgraph_st, DestroyGraph>;

CapturedGraph capture(cudaStream_t stream, const std::function<void()>& work) {
  // Other threads may be other ranks: what they do in the meantime is no business of this capture.
  DML_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &graph));
    const CapturedGraph unfinished(graph);
    static_cast<void>(cudaGetLastError());
    throw;
  }
  const cudaError_t code = cudaStreamEndCapture(stream, &graph);
  if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
  check(code, "cudaStreamEndCapture");
  return CapturedGraph(graph);
}

}  // namespace

CudaGraph::CudaGraph(cudaStream_t stream, const std::function<void()>& work) : stream_(stream) {
  const CapturedGraph captured = capture(stream, work);
  DML_CUDA(cudaGraphInstantiate(&graph_, captured.get(), 0));
}

// What fails here fails because the device did before, and that was told then.
CudaGraph::~CudaGraph() { static_cast<void>(cudaGraphExecDestroy(graph_)); }

void CudaGraph::replay() { DML_CUDA(cudaGraphLaunch(graph_, stream_)); }

}  // namespace dml::cuda
