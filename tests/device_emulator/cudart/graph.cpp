// Capture of streams into graphs, and their launch, of the emulated CUDA runtime. Graphs come of captures alone.
#include <cuda_runtime_api.h>

#include <memory>
#include <utility>

#include "tests/device_emulator/cudart/entry.h"
#include "tests/device_emulator/engine/capture.h"
#include "tests/device_emulator/engine/stream.h"

struct CUgraph_st {
  dml::emulator::Recording recording;
};
struct CUgraphExec_st {
  dml::emulator::Recording recording;
};

using dml::emulator::failed;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  DML_ENTER("cudaStreamBeginCapture");
  CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (handle != stream) return failed(cudaErrorStreamCaptureUnsupported);  // the default stream
  if (stream->capture != nullptr) return failed(cudaErrorIllegalState);
  stream->capture = std::make_shared<dml::emulator::Capture>(*stream, mode);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* to) {
  const cudaError_t told = dml::emulator::enter("cudaStreamEndCapture");
  if (told == static_cast<cudaError_t>(dml::emulator::kLeftOut)) return failed(told);
  *to = nullptr;
  CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<dml::emulator::Capture> capture = stream->capture;
  if (capture == nullptr) return failed(cudaErrorIllegalState);
  if (!capture->is_origin(*stream)) return failed(cudaErrorStreamCaptureUnmatched);
  const std::string unjoined = capture->finish();  // also where the call fails
  if (told != cudaSuccess) return failed(told);
  if (!capture->is_valid()) return failed(cudaErrorStreamCaptureInvalidated);
  if (!unjoined.empty()) return failed(cudaErrorStreamCaptureUnjoined);
  *to = new CUgraph_st{std::move(capture->recording())};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  DML_ENTER("cudaStreamIsCapturing");
  const CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  *status = cudaStreamCaptureStatusNone;
  if (stream->capture != nullptr) {
    *status = stream->capture->is_valid() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated;
  }
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* to, cudaGraph_t graph, unsigned long long) {
  DML_ENTER("cudaGraphInstantiate");
  if (graph == nullptr) return failed(cudaErrorInvalidValue);
  *to = new CUgraphExec_st{graph->recording};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* to, cudaGraph_t graph, unsigned long long) {
  DML_ENTER("cudaGraphInstantiateWithFlags");
  if (graph == nullptr) return failed(cudaErrorInvalidValue);
  *to = new CUgraphExec_st{graph->recording};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle) {
  DML_ENTER("cudaGraphLaunch");
  CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr || graph == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) dml::emulator::violation("a graph launched within a capture is not emulated");
  dml::emulator::issue_all(*stream, graph->recording.nodes, graph->recording.before);
  return failed(dml::emulator::sticky_error());
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t) {
  DML_ENTER("cudaGraphUpload");
  return graph == nullptr ? failed(cudaErrorInvalidValue) : cudaSuccess;
}

// Nodes are counted, not shown.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  DML_ENTER("cudaGraphGetNodes");
  if (nodes != nullptr) dml::emulator::violation("nodes of a graph are not emulated");
  *count = graph->recording.nodes.size();
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  DML_ENTER("cudaGraphExecDestroy");
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  DML_ENTER("cudaGraphDestroy");
  delete graph;
  return cudaSuccess;
}

}  // extern "C"
