#include "runtime/data/sample_order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace dml {
namespace {

std::vector<std::int64_t> epoch_of(const SampleOrder& order, std::int64_t epoch) {
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < order.size(); ++i) samples.push_back(order.at(epoch * order.size() + i));
  return samples;
}

TEST(SampleOrder, EveryEpochIsAPermutation) {
  for (const std::int64_t size : {1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 255, 257, 1000, 4096, 4097, 65537}) {
    const SampleOrder order(size, true, 7);
    for (const std::int64_t epoch : {0, 1, 5}) {
      std::vector<bool> seen(static_cast<std::size_t>(size));
      for (const std::int64_t sample : epoch_of(order, epoch)) {
        ASSERT_GE(sample, 0);
        ASSERT_LT(sample, size);
        ASSERT_FALSE(seen[static_cast<std::size_t>(sample)]) << "size " << size << ", sample " << sample << " twice";
        seen[static_cast<std::size_t>(sample)] = true;
      }
    }
  }
}

TEST(SampleOrder, DependsOnSeedAndEpochAlone) {
  const SampleOrder order(500, true, 1);
  EXPECT_EQ(epoch_of(order, 0), epoch_of(SampleOrder(500, true, 1), 0));
  EXPECT_NE(epoch_of(order, 0), epoch_of(order, 1));
  EXPECT_NE(epoch_of(order, 1), epoch_of(order, 2));
  EXPECT_NE(epoch_of(order, 0), epoch_of(SampleOrder(500, true, 2), 0));
  EXPECT_NE(epoch_of(order, 0), epoch_of(SampleOrder(500, true, std::uint64_t{1} << 32 | 1), 0));
}

TEST(SampleOrder, WithoutShufflingCountsUpAndStartsAgain) {
  const SampleOrder order(3, false, 9);
  EXPECT_EQ(order.at(0), 0);
  EXPECT_EQ(order.at(2), 2);
  EXPECT_EQ(order.at(3), 0);
  EXPECT_EQ(order.at(3'000'000'000'001), 1);
}

/// Where one sample lands over many epochs is uniform: chi-square over 10 places with 9 degrees of freedom stays below
/// 33.7, which a uniform one exceeds once in 10,000 cases. And neighbours do not stay together.
TEST(SampleOrder, IsSpreadEvenly) {
  constexpr std::int64_t kSize = 100;
  constexpr std::int64_t kEpochs = 4000;
  const SampleOrder order(kSize, true, 3);
  for (const std::int64_t place : {0, 1, 50, 99}) {
    std::vector<double> count(10);
    for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) {
      count[static_cast<std::size_t>(order.at(epoch * kSize + place) / 10)] += 1;
    }
    double chi_square = 0;
    for (const double n : count) chi_square += (n - kEpochs / 10.0) * (n - kEpochs / 10.0) / (kEpochs / 10.0);
    EXPECT_LT(chi_square, 33.7) << "place " << place;
  }
  std::int64_t together = 0;
  for (std::int64_t i = 0; i + 1 < kSize * kEpochs; ++i) together += order.at(i + 1) - order.at(i) == 1;
  EXPECT_NEAR(static_cast<double>(together) / kEpochs, 0.99, 0.2);
}

TEST(SampleOrder, RefusesNoSamples) { EXPECT_THROW(SampleOrder(0, true, 0), std::invalid_argument); }

}  // namespace
}  // namespace dml
