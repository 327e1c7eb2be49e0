// The memory that `dmltrain simulate` shows over a step, against what the compiled programs of the same layout plan and
// touch.
#include "parallel/memory/memory_use.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/training_world.h"

namespace dml::test {
namespace {

constexpr int kParts = 200;

Training small_gpt() {
  Training training;
  training.graph_of = [](std::int64_t samples) {
    return zoo_graph("gpt:layers=4,width=48,heads=4,seq=32,vocab=64", samples);
  };
  training.batch = 16;
  return training;
}

/// Each task a second after the other.
std::vector<Span> one_by_one(const RankTasks& tasks) {
  std::vector<Span> spans;
  for (std::size_t i = 0; i < tasks.tasks.size(); ++i) {
    spans.push_back({.task = static_cast<std::int32_t>(i),
                     .rank = tasks.rank,
                     .start = static_cast<double>(i),
                     .end = static_cast<double>(i + 1)});
  }
  return spans;
}

RankMemory use_of(const Partition& partition, const OptimizerConfig& optimizer) {
  return memory_of(partition, partition.tasks,
                   {.techniques = {}, .replicas = partition.mesh.d(), .states = optimizer.num_states()},
                   one_by_one(partition.tasks), static_cast<double>(partition.tasks.tasks.size()), kParts);
}

TEST(MemoryUse, IsWhatTheProgramPlans) {
  const Training training = small_gpt();
  for (const TrainedLayout& layout :
       {TrainedLayout{}, TrainedLayout{.d = 2, .microbatches = 3}, TrainedLayout{.t = 2},
        TrainedLayout{.p = 2, .microbatches = 8}, TrainedLayout{.p = 2, .microbatches = 4, .schedule = "zb-v"},
        TrainedLayout{.d = 2, .p = 2, .t = 2, .microbatches = 4, .schedule = "interleaved"}}) {
    on_all_ranks(training, layout, [&](RankState& state, const Dataset&) {
      const RankMemory use = use_of(state.partition(), training.optimizer);
      EXPECT_EQ(use.planned(), static_cast<double>(state.planned_bytes())) << layout.schedule << " p=" << layout.p;
      EXPECT_EQ(use.arena, state.program().arena_bytes());
    });
  }
}

TEST(MemoryUse, ActivationsFillTheArenaAtTheirPeak) {
  const Training training = small_gpt();
  on_all_ranks(training, {.p = 2, .microbatches = 8}, [&](RankState& state, const Dataset&) {
    const RankMemory use = use_of(state.partition(), training.optimizer);
    ASSERT_EQ(use.activations.size(), static_cast<std::size_t>(kParts));
    const std::int64_t peak = *std::max_element(use.activations.begin(), use.activations.end());
    EXPECT_LE(peak, use.arena);
    EXPECT_GT(peak, use.arena * 3 / 4) << "holes";
    EXPECT_LT(use.activations.back(), peak / 8) << "the update needs none";
  });
}

}  // namespace
}  // namespace dml::test
