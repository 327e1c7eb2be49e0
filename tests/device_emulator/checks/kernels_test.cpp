// Blocks, warps and barriers: right kernels compute what they should under any order, wrong ones are named.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "tests/device_emulator/checks/fixture.h"
#include "tests/device_emulator/checks/kernels.h"

namespace dml::emulator_test {
namespace {

TEST(EmulatedKernels, ElementwiseWithATail) {
  const std::size_t n = 1000;
  const Buffer<float> x(counting(n)), y(n);
  scale(y.data(), x.data(), 2, n, nullptr);
  const std::vector<float> got = y.read();
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(got[i], 2 * static_cast<float>(i)) << i;
}

TEST(EmulatedKernels, BarrierAndSharedMemory) {
  const std::size_t n = 512;
  const Buffer<float> x(counting(n)), y(n);
  reverse_blocks(y.data(), x.data(), n, nullptr);
  const std::vector<float> got = y.read();
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(got[i], static_cast<float>(i / 256 * 256 + 255 - i % 256)) << i;
}

TEST(EmulatedKernels, ShufflesAndDynamicSharedMemory) {
  const std::size_t n = 600;
  const Buffer<float> x(counting(n, 1)), sums(3);
  sum_blocks(sums.data(), x.data(), n, nullptr);
  EXPECT_EQ(sums.read(), (std::vector<float>{256 * 257 / 2, 256 * (257 + 512) / 2, 88 * (513 + 600) / 2}));
}

TEST(EmulatedKernels, Atomics) {
  std::vector<unsigned> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<unsigned>(i * i);
  std::vector<unsigned> want(8, 0);
  for (const unsigned value : values) ++want[value % 8];
  const Buffer<unsigned> x(values), counts(std::vector<unsigned>(8, 0));
  histogram(counts.data(), x.data(), values.size(), nullptr);
  EXPECT_EQ(counts.read(), want);
}

TEST(EmulatedKernels, TwoDimensions) {
  const Buffer<float> y(21 * 10);
  coordinates(y.data(), 21, 10, nullptr);
  const std::vector<float> got = y.read();
  for (int row = 0; row < 21; ++row) {
    for (int column = 0; column < 10; ++column) {
      ASSERT_EQ(got[static_cast<std::size_t>(row * 10 + column)], static_cast<float>(row * 1000 + column));
    }
  }
}

TEST(EmulatedKernels, WarpOperations) {
  const Buffer<unsigned> out(96);
  warp_operations(out.data(), nullptr);
  const std::vector<unsigned> got = out.read();
  for (unsigned lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(got[3 * lane], 0xaaaaaaaau);
    EXPECT_EQ(got[3 * lane + 1], lane == 31 ? 310 : (lane + 1) * 10);
    EXPECT_EQ(got[3 * lane + 2], 31u);
  }
}

// Without the barrier some thread reads what another has not written: NaN, whatever the order.
TEST(EmulatedKernels, AMissingBarrierIsSeenInTheResult) {
  const Buffer<float> y(256);
  wrong(Wrong::missing_barrier, y.data(), 256, nullptr);
  int num_nan = 0;
  for (const float value : y.read()) num_nan += std::isnan(value) ? 1 : 0;
  EXPECT_GT(num_nan, 0);
}

TEST(EmulatedKernels, UnwrittenSharedMemoryIsNan) {
  const Buffer<float> y(256);
  wrong(Wrong::unwritten_shared, y.data(), 256, nullptr);
  const std::vector<float> got = y.read();
  EXPECT_TRUE(std::isnan(got[7]));
  EXPECT_EQ(got[8], 1);
}

TEST(EmulatedKernelsDeathTest, ADivergentBarrierIsNamed) {
  EXPECT_EXIT(
      {
        const Buffer<float> y(256);
        wrong(Wrong::divergent_barrier, y.data(), 256, nullptr);
        cudaDeviceSynchronize();
      },
      testing::ExitedWithCode(kViolation), "divergent __syncthreads.*kernels.cu:.*kernel .*divergent_barrier, block");
}

TEST(EmulatedKernelsDeathTest, WritesOutOfBoundsAreNamed) {
  for (const std::size_t n : {1, 64, 1000, 1024, 100000}) {
    EXPECT_EXIT(
        {
          const Buffer<float> y(n);
          wrong(Wrong::write_behind, y.data(), n, nullptr);
          cudaDeviceSynchronize();
        },
        testing::ExitedWithCode(kViolation), "behind the end of allocation #1 of [0-9]+ bytes");
  }
}

TEST(EmulatedKernelsDeathTest, SharedMemoryHasAnEnd) {
  EXPECT_EXIT(
      {
        wrong(Wrong::write_shared_behind, nullptr, 10, nullptr);
        cudaDeviceSynchronize();
      },
      testing::ExitedWithCode(kViolation), "0 bytes past the end of 40 dynamic bytes");
}

TEST(EmulatedKernelsDeathTest, FreedMemoryIsOutOfReach) {
  EXPECT_EXIT(
      {
        float* y = nullptr;
        cudaMalloc(reinterpret_cast<void**>(&y), 1024);
        cudaFree(y);
        wrong(Wrong::missing_barrier, y, 256, nullptr);
        cudaDeviceSynchronize();
      },
      testing::ExitedWithCode(kViolation),
      "byte [0-9]+ of allocation #1 of 1024 bytes, which was freed.*missing_barrier");
}

TEST(EmulatedKernelsDeathTest, Trap) {
  EXPECT_EXIT(
      {
        wrong(Wrong::trap, nullptr, 0, nullptr);
        cudaDeviceSynchronize();
      },
      testing::ExitedWithCode(kViolation), "__trap");
}

}  // namespace
}  // namespace dml::emulator_test
