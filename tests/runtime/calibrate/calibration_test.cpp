#include "runtime/calibrate/calibration.h"

#include <gtest/gtest.h>

#include "runtime/calibrate/kernel_sweep.h"
#include "runtime/calibrate/samples.h"

namespace dml {
namespace {

TEST(Calibration, TakesPeaksFromTheFewestThreadsAndLinksFromMessages) {
  Hardware hardware;
  hardware.kernels["MatMul"] = {{.threads = 2, .table = {{{10}, {10}, {10}}, {1}, {}}},
                                {.threads = 1, .table = {{{10, 20}, {10}, {10}}, {4, 5}, {}}}};
  hardware.kernels["Add"] = {{.threads = 1, .table = {{{100, 1000}}, {1, 5}, {}}}};
  hardware.comm[CommKind::send] = {{{2}, {256, 1000}}, {0.5, 10}, {}};
  derive_peaks_and_links(hardware);
  EXPECT_DOUBLE_EQ(hardware.peaks.f32_flops, 2 * 20 * 10 * 10 / 5.0);
  EXPECT_DOUBLE_EQ(hardware.peaks.memory_bytes_per_s, 200);
  ASSERT_EQ(hardware.levels.size(), 1);
  EXPECT_DOUBLE_EQ(hardware.levels[0].link.latency, 0.5);
  EXPECT_DOUBLE_EQ(hardware.levels[0].link.bytes_per_s, 100);
  EXPECT_NO_THROW(hardware.check());
}

TEST(Calibration, WithoutRanksThereIsNoLink) {
  Hardware hardware;
  derive_peaks_and_links(hardware);
  EXPECT_TRUE(hardware.levels.empty());
}

TEST(Calibration, ALaunchTakesSomeTimeButLittle) {
  EXPECT_GE(measure_launch(), 0);
  EXPECT_LT(measure_launch(), 1e-4);
}

TEST(Samples, QuartilesOfRepetitions) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(relative_spread({5, 4, 3, 2, 1}), (4 - 2) / (2 * 3.0));
  EXPECT_EQ(relative_spread({7, 7, 7}), 0);
}

}  // namespace
}  // namespace dml
