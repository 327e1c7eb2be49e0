// Every planted fault is refused: what is verified can fail, in each of its parts.
#include <gtest/gtest.h>

#include <map>

#include "parallel/verify/division.h"
#include "parallel/verify/verify.h"
#include "tests/parallel/verify/mutations.h"

namespace dml::test {
namespace {

constexpr int kFaults = 500;

const VerifiedLayout kLayouts[] = {
    {1, 2, 1, 3, "1f1b"},
    {2, 2, 2, 2, "1f1b", "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1", 7},
    {1, 2, 2, 4, "zb-h1", "gpt:layers=2,width=12,heads=3,seq=4,vocab=7", 6},
    {1, 1, 2, 2, "1f1b", "fixture:gpt_tiny.ts17", 4},
    {2, 1, 2, 3, "gpipe", "gpt:layers=1,width=12,heads=3,seq=4,vocab=7", 7, SplitMode::gather},
    {1, 2, 1, 4, "interleaved", "gpt:layers=4,width=12,heads=3,seq=4,vocab=7,tied=1", 8},
    {2, 3, 1, 3, "1f1b", "mlp:in=5,hidden=6x7x8,out=4", 9},
    {1, 1, 3, 2, "1f1b", "mlp:in=5,hidden=6x7x8,out=4"},
    {1, 2, 2, 3, "zb-v", "gpt:layers=4,width=12,heads=3,seq=4,vocab=7,tied=1"},
    {2,
     2,
     2,
     2,
     "1f1b",
     "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1",
     7,
     SplitMode::megatron,
     true,
     false,
     {.sequence_parallel = true}},
    {2, 1, 1, 2, "1f1b", "mlp:in=5,hidden=6x7x8,out=4", 7, SplitMode::megatron, true, false, {.zero = 1}},
    {3,
     2,
     1,
     2,
     "1f1b",
     "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1",
     7,
     SplitMode::megatron,
     true,
     false,
     {.zero = 2}},
    {2,
     2,
     1,
     3,
     "zb-h1",
     "gpt:layers=2,width=12,heads=3,seq=4,vocab=7",
     7,
     SplitMode::megatron,
     false,
     false,
     {.zero = 3}},
};

/// What mutations change of a world, to be put back.
class Snapshot {
 public:
  Snapshot(const World& world, bool graphs) {
    for (const auto& rank : world.ranks) {
      tasks_.push_back(rank->tasks);
      layouts_.push_back(rank->layout);
      if (graphs) graphs_.push_back(rank->graphs);
    }
  }
  void restore(World& world) const {
    for (std::size_t i = 0; i < world.ranks.size(); ++i) {
      world.ranks[i]->tasks = tasks_[i];
      world.ranks[i]->layout = layouts_[i];
      if (graphs_.empty()) continue;
      for (auto& [samples, split] : world.ranks[i]->graphs) split = graphs_[i].at(samples);
    }
  }

 private:
  std::vector<RankTasks> tasks_;
  std::vector<FlatLayout> layouts_;
  std::vector<std::map<std::int64_t, std::shared_ptr<const SplitGraph>>> graphs_;  ///< others point to them
};

bool is_refused(World& world, bool in_graph) {
  if (!in_graph) return !verify_tasks(world.set(), world.layout.clips).empty();
  for (const auto& rank : world.ranks) {
    for (const auto& [samples, split] : rank->graphs) {
      if (!verify_division(world.graphs.of(samples), *split, rank->place()).empty()) return true;
    }
  }
  return false;
}

TEST(VerifyMutation, EveryFaultIsRefused) {
  std::vector<std::unique_ptr<World>> worlds;
  for (const VerifiedLayout& layout : kLayouts) worlds.push_back(std::make_unique<World>(layout));
  std::map<std::string, int> planted;
  const std::size_t kinds = task_mutations().size() + graph_mutations().size();
  int faults = 0;
  for (unsigned seed = 0; faults < kFaults; ++seed) {
    ASSERT_LT(seed, 4U * kFaults);
    const std::size_t kind = seed % kinds;
    const bool in_graph = kind >= task_mutations().size();
    const Mutation& mutation = in_graph ? graph_mutations()[kind - task_mutations().size()] : task_mutations()[kind];
    World& world = *worlds[seed / kinds % worlds.size()];
    Random random(seed);
    const Snapshot snapshot(world, in_graph);
    const std::string fault = mutation.plant(world, random);
    if (!fault.empty()) {
      EXPECT_TRUE(is_refused(world, in_graph))
          << "seed " << seed << ", " << text_of(world.layout) << ": " << mutation.name << ": " << fault;
      ++planted[mutation.name];
      ++faults;
    }
    snapshot.restore(world);
  }
  EXPECT_EQ(planted.size(), kinds);
  for (const auto& world : worlds) EXPECT_TRUE(verify_tasks(world->set(), world->layout.clips).empty());
}

}  // namespace
}  // namespace dml::test
