#include "runtime/device/cuda/cuda_graph.h"

#include "kernels/cuda/check.h"

namespace dml::cuda {
namespace {

OwnedGraph capture(cudaStream_t stream, const std::function<void()>& work) {
  // Other threads may be other ranks: what they do in the meantime is no business of this capture.
  DML_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &graph));
    const OwnedGraph unfinished(graph);
    static_cast<void>(cudaGetLastError());
    throw;
  }
  const cudaError_t code = cudaStreamEndCapture(stream, &graph);
  if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
  check(code, "cudaStreamEndCapture");
  return OwnedGraph(graph);
}

}  // namespace

CudaGraph::CudaGraph(cudaStream_t stream, const std::function<void()>& work) : stream_(stream) {
  const OwnedGraph captured = capture(stream, work);
  cudaGraphExec_t executable = nullptr;
  DML_CUDA(cudaGraphInstantiate(&executable, captured.get(), 0));
  graph_ = std::make_shared<OwnedGraphExec>(executable);
}

void CudaGraph::replay() { DML_CUDA(cudaGraphLaunch(graph_->get(), stream_)); }

}  // namespace dml::cuda
