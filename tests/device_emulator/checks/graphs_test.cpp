// Streams captured into graphs.
#include <gtest/gtest.h>

#include <vector>

#include "tests/device_emulator/checks/fixture.h"
#include "tests/device_emulator/checks/kernels.h"

namespace dml::emulator_test {
namespace {

void begin(cudaStream_t stream) { ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal)); }

cudaError_t end(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  const cudaError_t code = cudaStreamEndCapture(stream, &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
  return code;
}

// x -> y on one stream; y -> z on the other, which comes back.
TEST(EmulatedGraphs, TwoStreamsAreReplayed) {
  const OwnStream stream, other;
  const OwnEvent fork, join;
  const Buffer<float> x(counting(100)), y(100), z(std::vector<float>(100, 0));
  begin(stream);
  scale(y.data(), x.data(), 2, 100, stream);
  ok(cudaEventRecord(fork, stream));
  ok(cudaStreamWaitEvent(other, fork, 0));
  scale(z.data(), y.data(), 3, 100, other);
  ok(cudaEventRecord(join, other));
  scale(x.data(), x.data(), 10, 100, stream);
  ok(cudaStreamWaitEvent(stream, join, 0));
  cudaGraph_t graph = nullptr;
  ok(cudaStreamEndCapture(stream, &graph));
  std::size_t num_nodes = 0;
  ok(cudaGraphGetNodes(graph, nullptr, &num_nodes));
  EXPECT_EQ(num_nodes, 3u);
  EXPECT_EQ(z.read()[7], 0);  // recorded, not run
  cudaGraphExec_t executable = nullptr;
  ok(cudaGraphInstantiate(&executable, graph, 0));
  ok(cudaGraphDestroy(graph));
  for (int i = 0; i < 3; ++i) ok(cudaGraphLaunch(executable, stream));
  scale(x.data(), x.data(), 1, 100, stream);  // behind the graphs
  ok(cudaStreamSynchronize(stream));
  EXPECT_EQ(z.read()[7], 7 * 2 * 3 * 100);
  EXPECT_EQ(x.read()[7], 7000);
  ok(cudaGraphExecDestroy(executable));
}

TEST(EmulatedGraphs, AStreamThatDoesNotComeBackIsRefused) {
  const OwnStream stream, other;
  const OwnEvent fork;
  const Buffer<float> x(counting(10));
  begin(stream);
  ok(cudaEventRecord(fork, stream));
  ok(cudaStreamWaitEvent(other, fork, 0));
  scale(x.data(), x.data(), 2, 10, other);
  EXPECT_EQ(end(stream), cudaErrorStreamCaptureUnjoined);
  ok(cudaStreamSynchronize(other));  // free again
}

TEST(EmulatedGraphs, SynchronisingEndsACapture) {
  const OwnStream stream;
  begin(stream);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(end(stream), cudaErrorStreamCaptureInvalidated);
  begin(stream);
  void* address = nullptr;
  EXPECT_EQ(cudaMalloc(&address, 8), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(end(stream), cudaErrorStreamCaptureInvalidated);
}

TEST(EmulatedGraphs, WorkOutsideOfTheCaptureIsRefused) {
  const OwnStream stream, other;
  const OwnEvent event;
  ok(cudaEventRecord(event, other));
  begin(stream);
  EXPECT_EQ(cudaStreamWaitEvent(stream, event, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(end(stream), cudaErrorStreamCaptureInvalidated);
  begin(stream);
  ok(cudaEventRecord(event, stream));
  EXPECT_EQ(cudaEventSynchronize(event), cudaErrorCapturedEvent);
  EXPECT_EQ(end(stream), cudaSuccess);
}

TEST(EmulatedGraphs, OtherStreamsCannotEndACapture) {
  const OwnStream stream, other;
  EXPECT_EQ(end(stream), cudaErrorIllegalState);
  const OwnEvent fork;
  begin(stream);
  ok(cudaEventRecord(fork, stream));
  ok(cudaStreamWaitEvent(other, fork, 0));
  EXPECT_EQ(end(other), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(end(stream), cudaSuccess);
}

}  // namespace
}  // namespace dml::emulator_test
