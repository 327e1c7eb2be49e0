#include "parallel/plan/search.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/parallel/verify/partitions.h"

namespace dml::test {
namespace {

constexpr const char* kSearchedModel = "gpt:layers=8,width=48,heads=4,seq=32,vocab=64";
constexpr int kWorld = 16;
constexpr std::int64_t kBatch = 32;

SearchSpace whole_space() {
  SearchSpace space;
  space.world = kWorld;
  space.batch = kBatch;
  space.schedules = trainable_schedules();
  for (const Recompute recompute : kRecomputations) {
    for (const int zero : {0, 1}) space.techniques.push_back({.recompute = recompute, .zero = zero});
  }
  return space;
}

/// Of a device that not all layouts fit on, so that techniques are tried one after the other.
SearchResult searched(int threads) {
  const Hardware hardware = hardware_preset("a100-80g");
  EstimateOptions options;
  options.batch = kBatch;
  options.memory_limit = 2e6;
  options.hosts = hosts_of(hardware, kWorld, kWorld);
  EstimateOptions one = options;
  one.hosts = hosts_of(hardware, 1, 1);
  return search_layouts([](std::int64_t samples) { return zoo_graph(kSearchedModel, samples); }, 1, hardware,
                        whole_space(), options, one, threads);
}

std::map<Obstacle, int> obstacles(const SearchResult& result) {
  std::map<Obstacle, int> counts;
  for (const RejectedLayout& layout : result.rejected) ++counts[layout.why];
  return counts;
}

TEST(Search, FindsTheSameInAnyNumberOfThreads) {
  const SearchResult alone = searched(1);
  const SearchResult together = searched(3);
  ASSERT_EQ(alone.ranked.size(), together.ranked.size());
  for (std::size_t i = 0; i < alone.ranked.size(); ++i) {
    EXPECT_EQ(alone.ranked[i].layout, together.ranked[i].layout) << i;
    EXPECT_EQ(alone.ranked[i].estimate.seconds, together.ranked[i].estimate.seconds) << i;
    EXPECT_EQ(alone.ranked[i].estimate.memory.total(), together.ranked[i].estimate.memory.total()) << i;
  }
  ASSERT_EQ(alone.rejected.size(), together.rejected.size());
  for (std::size_t i = 0; i < alone.rejected.size(); ++i) {
    EXPECT_EQ(alone.rejected[i].layout, together.rejected[i].layout) << i;
    EXPECT_EQ(alone.rejected[i].message, together.rejected[i].message) << i;
  }
  EXPECT_EQ(alone.one_device_seconds, together.one_device_seconds);
}

TEST(Search, PricesEachLayoutOnce) {
  const SearchResult result = searched(2);
  EXPECT_EQ(result.ranked.size() + result.rejected.size(), all_layouts(whole_space()).size());
  const std::map<Obstacle, int> counts = obstacles(result);
  for (const Obstacle why : {Obstacle::stages, Obstacle::memory, Obstacle::duplicate})
    EXPECT_TRUE(counts.contains(why));
  bool recomputes = false;
  for (const RankedLayout& layout : result.ranked) recomputes |= layout.layout.techniques.recompute != Recompute::none;
  EXPECT_TRUE(recomputes);
}

}  // namespace
}  // namespace dml::test
