// Memory and copies of the emulated CUDA runtime: what works, and which misuse gets which code.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/device_emulator/checks/fixture.h"
#include "tests/device_emulator/checks/kernels.h"

namespace dml::emulator_test {
namespace {

TEST(EmulatedMemory, FreshMemoryIsNan) {
  const Buffer<float> x(5);
  for (const float value : x.read()) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatedMemory, RowsWithPitch) {
  const std::vector<float> host = counting(12);
  const Buffer<float> x(std::vector<float>(12, 0));
  const OwnStream stream;
  ok(cudaMemcpy2DAsync(x.data(), 4 * sizeof(float), host.data(), 3 * sizeof(float), 2 * sizeof(float), 3,
                       cudaMemcpyHostToDevice, stream));
  ok(cudaStreamSynchronize(stream));
  EXPECT_EQ(x.read(), (std::vector<float>{0, 1, 0, 0, 3, 4, 0, 0, 6, 7, 0, 0}));
}

TEST(EmulatedMemory, FillAndAttributes) {
  const Buffer<unsigned char> x(100);
  ok(cudaMemset(x.data(), 7, 100));
  EXPECT_EQ(x.read(), std::vector<unsigned char>(100, 7));
  cudaPointerAttributes attributes{};
  ok(cudaPointerGetAttributes(&attributes, x.data() + 50));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  float on_host = 0;
  ok(cudaPointerGetAttributes(&attributes, &on_host));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
}

TEST(EmulatedMemory, MisuseIsRefused) {
  const Buffer<float> x(8);
  std::vector<float> host(16);
  EXPECT_EQ(cudaMemcpy(x.data(), host.data(), 64, cudaMemcpyHostToDevice), cudaErrorInvalidValue);  // too long
  EXPECT_EQ(cudaMemcpy(x.data(), host.data(), 32, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);  // other direction
  EXPECT_EQ(cudaFree(x.data() + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(host.data()), cudaErrorInvalidValue);
  EXPECT_EQ(cudaHostUnregister(host.data()), cudaErrorHostMemoryNotRegistered);
  EXPECT_EQ(cudaGetLastError(), cudaErrorHostMemoryNotRegistered);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(EmulatedMemory, ADeviceHasAnEnd) {
  std::size_t free = 0, total = 0;
  ok(cudaMemGetInfo(&free, &total));
  void* address = nullptr;
  EXPECT_EQ(cudaMalloc(&address, free + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(address, nullptr);
  EXPECT_STREQ(cudaGetErrorString(cudaGetLastError()), "out of memory");
  const Buffer<char> x(1000);
  std::size_t left = 0;
  ok(cudaMemGetInfo(&left, &total));
  EXPECT_EQ(left, free - 1000);
}

TEST(EmulatedMemoryDeathTest, HostCodeCannotReadDeviceMemoryInCheckedMode) {
  EXPECT_EXIT(
      {
        setenv("EMULATOR_PROTECT", "1", 1);
        const Buffer<float> x(counting(100));
        std::exit(x.data()[3] == 3 ? 0 : 1);
      },
      testing::ExitedWithCode(kViolation), "host code touched device memory .*: byte 12 of allocation #1 of 400 bytes");
}

TEST(EmulatedMemoryDeathTest, PageableMemoryIsReadAndWrittenAsLateAsPinned) {
  EXPECT_EXIT(
      {
        setenv("EMULATOR_POLICY", "lazy", 1);
        std::vector<float> from = counting(8);
        std::vector<float> to(8, -2);
        const Buffer<float> x(8);
        const OwnStream stream;
        ok(cudaMemcpyAsync(x.data(), from.data(), x.bytes(), cudaMemcpyHostToDevice, stream));
        ok(cudaMemcpyAsync(to.data(), x.data(), x.bytes(), cudaMemcpyDeviceToHost, stream));
        from.assign(8, -1);
        const bool is_late = to == std::vector<float>(8, -2);
        ok(cudaStreamSynchronize(stream));
        std::exit(is_late && to == from ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(EmulatedMemoryDeathTest, ReadsOfUnwrittenMemoryAreNamed) {
  EXPECT_EXIT(
      {
        setenv("EMULATOR_UNINITIALISED", "1", 1);
        const Buffer<float> x(100);
        cudaMemset(x.data(), 0, 200);
        std::vector<float> host(100);
        cudaMemcpy(host.data(), x.data(), 400, cudaMemcpyDeviceToHost);
      },
      testing::ExitedWithCode(kViolation), "cudaMemcpy reads memory that nobody has written: byte 200 of 400");
}

}  // namespace
}  // namespace dml::emulator_test
