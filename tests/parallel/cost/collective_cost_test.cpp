#include "parallel/cost/collective_cost.h"

#include <gtest/gtest.h>

namespace dml {
namespace {

using Algorithm = CollectiveAlgorithm;

// 1 s per step and 1 s per 10 bytes, so that all numbers are worked out by hand.
constexpr Link kLink{.latency = 1, .bytes_per_s = 10};
constexpr double kBytes = 80;

double four_ranks(CommKind kind, Algorithm algorithm) { return seconds_of(kind, algorithm, kBytes, 4, kLink); }

TEST(CollectiveCost, RingsPassAQuarterOnInEachStep) {
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::all_reduce, Algorithm::ring), 6 + 12);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::all_gather, Algorithm::ring), 3 + 6);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::reduce_scatter, Algorithm::ring), 3 + 6);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::broadcast, Algorithm::ring), 3 + 8);
}

TEST(CollectiveCost, TreesTakeLogarithmicSteps) {
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::all_reduce, Algorithm::tree), 4 + 16);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::all_gather, Algorithm::tree), 2 + 6);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::broadcast, Algorithm::tree), 2 + 8);
  EXPECT_DOUBLE_EQ(seconds_of(CommKind::all_reduce, Algorithm::tree, kBytes, 5, kLink), 6 + 16);
}

TEST(CollectiveCost, DirectOnesTakeOneStepForEachHalf) {
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::all_reduce, Algorithm::direct), 2 + 12);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::all_gather, Algorithm::direct), 1 + 6);
  EXPECT_DOUBLE_EQ(four_ranks(CommKind::broadcast, Algorithm::direct), 2 + 16);
}

TEST(CollectiveCost, AMessageIsTheSameByAllAlgorithms) {
  for (const Algorithm algorithm : kCollectiveAlgorithms)
    EXPECT_DOUBLE_EQ(seconds_of(CommKind::send, algorithm, kBytes, 2, kLink), 1 + 8) << name_of(algorithm);
}

TEST(CollectiveCost, AutomaticTakesTreesForSmallAndRingsForLarge) {
  const auto seconds = [](Algorithm algorithm, double bytes) {
    return seconds_of(CommKind::all_reduce, algorithm, bytes, 16, kLink);
  };
  EXPECT_DOUBLE_EQ(seconds(Algorithm::automatic, 1), seconds(Algorithm::tree, 1));
  EXPECT_DOUBLE_EQ(seconds(Algorithm::automatic, 1e6), seconds(Algorithm::ring, 1e6));
}

TEST(CollectiveCost, OneRankHasNothingToSay) {
  for (const CommKind kind : kCommKinds) EXPECT_EQ(seconds_of(kind, Algorithm::ring, kBytes, 1, kLink), 0);
}

}  // namespace
}  // namespace dml
