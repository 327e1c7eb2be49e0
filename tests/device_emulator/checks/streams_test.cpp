// Streams and events of the emulated CUDA runtime. All hold under every policy.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "tests/device_emulator/checks/fixture.h"
#include "tests/device_emulator/checks/kernels.h"

namespace dml::emulator_test {
namespace {

TEST(EmulatedStreams, AStreamRunsInOrder) {
  const OwnStream stream;
  const Buffer<float> x(counting(100));
  for (int i = 0; i < 10; ++i) scale(x.data(), x.data(), 2, 100, stream);
  ok(cudaStreamSynchronize(stream));
  EXPECT_EQ(x.read()[3], 3 * 1024);
}

TEST(EmulatedStreams, AnEventOrdersTwoStreams) {
  const OwnStream first, second;
  const OwnEvent written, read;
  const Buffer<float> x(counting(100)), y(100), z(100);
  for (int i = 0; i < 20; ++i) {
    ok(cudaStreamWaitEvent(first, read, 0));
    scale(y.data(), x.data(), static_cast<float>(i), 100, first);
    ok(cudaEventRecord(written, first));
    ok(cudaStreamWaitEvent(second, written, 0));
    scale(z.data(), y.data(), 2, 100, second);
    ok(cudaEventRecord(read, second));
  }
  ok(cudaEventSynchronize(read));
  EXPECT_EQ(z.read()[5], 5 * 19 * 2);
}

TEST(EmulatedStreams, TheDefaultStreamWaitsForBlockingStreams) {
  cudaStream_t blocking = nullptr;
  ok(cudaStreamCreate(&blocking));
  const Buffer<float> x(counting(10));
  for (int i = 0; i < 5; ++i) {
    scale(x.data(), x.data(), 2, 10, blocking);
    scale(x.data(), x.data(), 3, 10, nullptr);
  }
  ok(cudaStreamSynchronize(nullptr));
  EXPECT_EQ(x.read()[1], 7776);
  ok(cudaStreamDestroy(blocking));
}

TEST(EmulatedStreams, QueriesComeTrue) {
  const OwnStream stream;
  const OwnEvent event;
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);  // never recorded
  const Buffer<float> x(counting(10));
  scale(x.data(), x.data(), 2, 10, stream);
  ok(cudaEventRecord(event, stream));
  cudaError_t code = cudaErrorNotReady;
  while (code == cudaErrorNotReady) code = cudaEventQuery(event);
  EXPECT_EQ(code, cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
}

TEST(EmulatedStreams, TimesAreOrdered) {
  const OwnStream stream;
  const OwnEvent begin, end;
  const Buffer<float> x(counting(10));
  ok(cudaEventRecord(begin, stream));
  scale(x.data(), x.data(), 2, 10, stream);
  ok(cudaEventRecord(end, stream));
  ok(cudaEventSynchronize(end));
  float milliseconds = -1;
  ok(cudaEventElapsedTime(&milliseconds, begin, end));
  EXPECT_GE(milliseconds, 0);
}

TEST(EmulatedStreams, HostFunctionsRunInOrderAndMayNotCallCuda) {
  const OwnStream stream;
  static std::atomic<int> code;
  code = -1;
  ok(cudaLaunchHostFunc(
      stream, [](void*) { code = cudaDeviceSynchronize(); }, nullptr));
  ok(cudaStreamSynchronize(stream));
  EXPECT_EQ(code, cudaErrorNotPermitted);
}

TEST(EmulatedStreams, HandlesThatAreGoneAreRefused) {
  cudaStream_t stream = nullptr;
  ok(cudaStreamCreate(&stream));
  ok(cudaStreamDestroy(stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamCreateWithFlags(&stream, 8), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST(EmulatedFaultsDeathTest, TheNthCallFails) {
  EXPECT_EXIT(
      {
        setenv("EMULATOR_FAIL", "cudaMalloc:2:2,cudaStreamCreateWithFlags:1:999", 1);
        void* address = nullptr;
        cudaStream_t stream = nullptr;
        const bool as_told = cudaMalloc(&address, 8) == cudaSuccess &&
                             cudaMalloc(&address, 8) == cudaErrorMemoryAllocation &&
                             cudaMalloc(&address, 8) == cudaSuccess &&
                             cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaErrorUnknown;
        std::exit(as_told ? 3 : 4);
      },
      testing::ExitedWithCode(3), "leak: 2 device allocations");
}

TEST(EmulatedFaultsDeathTest, AFaultOfRunningWorkStays) {
  EXPECT_EXIT(
      {
        setenv("EMULATOR_FAIL", "operation:1:700", 1);
        const OwnStream stream;
        cudaMemsetAsync(nullptr, 0, 0, stream);
        const OwnEvent event;
        cudaEventRecord(event, stream);
        const bool as_told = cudaStreamSynchronize(stream) == cudaErrorIllegalAddress &&
                             cudaStreamSynchronize(stream) == cudaErrorIllegalAddress &&
                             cudaGetLastError() == cudaErrorIllegalAddress &&
                             cudaGetLastError() == cudaErrorIllegalAddress;
        std::_Exit(as_told ? 3 : 4);
      },
      testing::ExitedWithCode(3), "");
}

TEST(EmulatedFaultsDeathTest, WhatIsNotEmulatedSaysItsName) {
  EXPECT_EXIT(
      {
        void* address = nullptr;
        cudaMallocManaged(&address, 8, cudaMemAttachGlobal);
      },
      testing::ExitedWithCode(kViolation), "cudaMallocManaged of libcudart.so.13 is not emulated");
}

}  // namespace
}  // namespace dml::emulator_test
