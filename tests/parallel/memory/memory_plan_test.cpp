// Buffers that live at once never overlap, and little memory is lost between them.
#include "parallel/memory/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace dml {
namespace {

/// The most bytes that are alive at one position.
std::int64_t lower_bound(const std::vector<Lifetime>& lifetimes) {
  std::map<std::int64_t, std::int64_t> change;
  for (const Lifetime& life : lifetimes) {
    change[life.first] += aligned_bytes(life.bytes);
    change[life.last + 1] -= aligned_bytes(life.bytes);
  }
  std::int64_t alive = 0;
  std::int64_t most = 0;
  for (const auto& [position, bytes] : change) most = std::max(most, alive += bytes);
  return most;
}

void expect_disjoint(const std::vector<Lifetime>& lifetimes, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), lifetimes.size());
  std::int64_t end = 0;
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    const Lifetime& a = lifetimes[i];
    ASSERT_EQ(plan.offsets[i] % kBufferAlignment, 0);
    ASSERT_GE(plan.offsets[i], 0);
    ASSERT_LE(plan.offsets[i] + a.bytes, plan.peak_bytes);
    end = std::max(end, plan.offsets[i] + aligned_bytes(a.bytes));
    for (std::size_t j = 0; j < i; ++j) {
      const Lifetime& b = lifetimes[j];
      const bool together = a.first <= b.last && b.first <= a.last;
      const bool apart = plan.offsets[i] + a.bytes <= plan.offsets[j] || plan.offsets[j] + b.bytes <= plan.offsets[i];
      ASSERT_TRUE(!together || apart || a.bytes == 0 || b.bytes == 0)
          << a.bytes << " bytes of [" << a.first << ", " << a.last << "] and " << b.bytes << " of [" << b.first << ", "
          << b.last << "] share memory";
    }
  }
  EXPECT_EQ(plan.peak_bytes, end);
}

TEST(MemoryPlan, RandomBuffersDoNotOverlap) {
  for (unsigned seed = 0; seed < 3; ++seed) {
    std::mt19937 generator(seed);
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 2000; ++i) {
      const auto first = static_cast<std::int32_t>(generator() % 1000);
      const auto length = static_cast<std::int32_t>(generator() % (generator() % 8 == 0 ? 500 : 12));
      lifetimes.push_back({static_cast<std::int64_t>(generator() % 5000), first, first + length});
    }
    const MemoryPlan plan = plan_memory(lifetimes);
    expect_disjoint(lifetimes, plan);
    EXPECT_LT(plan.peak_bytes, 2 * lower_bound(lifetimes));
  }
}

/// Forward: per layer what the backward pass reads again, in mixed sizes, and buffers that die at once. Backward: the
/// gradients, two at a time. In a pipeline, several microbatches are under way.
std::vector<Lifetime> gpt_lifetimes(int layers, int microbatches, int in_flight) {
  constexpr std::int64_t kSizes[] = {65536, 512, 196608, 65536, 2048, 65536, 262144, 262144, 65536, 100};
  constexpr int kKinds = 10;
  const int length = layers * kKinds;
  std::vector<Lifetime> lifetimes;
  const auto start_of = [&](int m, bool backward) {
    const int slot = backward ? 2 * m + in_flight : 2 * m;
    return slot * length;
  };
  for (int m = 0; m < microbatches; ++m) {
    const int forward = start_of(m, false);
    const int backward = start_of(m, true);
    for (int i = 0; i < length; ++i) {
      const std::int64_t bytes = kSizes[i % kKinds];
      const int mirrored = backward + length - 1 - i;
      lifetimes.push_back({bytes, forward + i, mirrored});
      if (i % 3 == 0) lifetimes.push_back({bytes * 2, forward + i, forward + i + 1});
      lifetimes.push_back({bytes, mirrored, mirrored + 2});
    }
  }
  return lifetimes;
}

TEST(MemoryPlan, LosesLittleOnATransformer) {
  for (const int in_flight : {1, 3, 5, 7}) {
    for (const int microbatches : {1, 2, 6}) {
      const std::vector<Lifetime> lifetimes = gpt_lifetimes(8, microbatches, in_flight);
      const MemoryPlan plan = plan_memory(lifetimes);
      expect_disjoint(lifetimes, plan);
      EXPECT_LE(static_cast<double>(plan.peak_bytes), 1.5 * static_cast<double>(lower_bound(lifetimes)))
          << microbatches << " microbatches";
    }
  }
}

TEST(MemoryPlan, ReusesWhatIsFree) {
  const std::vector<Lifetime> lifetimes{{640, 0, 1}, {640, 2, 3}, {320, 4, 4}, {320, 4, 4}};
  const MemoryPlan plan = plan_memory(lifetimes);
  EXPECT_EQ(plan.peak_bytes, 640);
  expect_disjoint(lifetimes, plan);
}

TEST(MemoryPlan, GrowsTheLastHole) {
  const std::vector<Lifetime> lifetimes{{64, 0, 9}, {128, 0, 0}, {256, 1, 1}};
  EXPECT_EQ(plan_memory(lifetimes).peak_bytes, 64 + 256);
}

TEST(MemoryPlan, NothingTakesNothing) {
  EXPECT_EQ(plan_memory({}).peak_bytes, 0);
  const std::vector<Lifetime> empty{{0, 0, 5}, {0, 2, 3}};
  EXPECT_EQ(plan_memory(empty).peak_bytes, 0);
}

}  // namespace
}  // namespace dml
