// What the builder makes is verified, for every schedule and kind of layout; what is not computed is told by its place.
#include "parallel/verify/verify.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "parallel/verify/division.h"
#include "parallel/verify/live_passes.h"
#include "tests/parallel/verify/partitions.h"

namespace dml::test {
namespace {

constexpr const char* kUntied = "gpt:layers=4,width=12,heads=3,seq=4,vocab=7";
constexpr const char* kMlp = "mlp:in=5,hidden=6x7x8,out=4";

std::string text_of(const std::vector<Finding>& findings) {
  std::string text;
  for (std::size_t i = 0; i < findings.size() && i < 5; ++i) text += findings[i].to_string() + "\n";
  return text;
}

/// Every rank, not one of each class.
void expect_verified(const VerifiedLayout& layout) {
  SCOPED_TRACE(text_of(layout));
  World world(layout);
  for (const auto& rank : world.ranks) {
    if (rank->at.p > 0) continue;
    for (const auto& [samples, split] : rank->graphs) {
      const auto findings = verify_division(world.graphs.of(samples), *split, rank->place());
      EXPECT_TRUE(findings.empty()) << text_of(findings);
    }
  }
  const auto findings = verify_tasks(world.set(), layout.clips);
  EXPECT_TRUE(findings.empty()) << text_of(findings);
}

TEST(Verify, AllSchedules) {
  for (const ScheduleDef* schedule : trainable_schedules()) {
    for (const int m : {4, 6})
      expect_verified({1, 2, 1, m, std::string(schedule->name), "gpt:layers=6,width=12,heads=3,seq=4,vocab=7,tied=1"});
  }
}

TEST(Verify, PipelinesOfAllSizes) {
  for (const int p : {1, 2, 3, 4}) {
    for (const int m : {1, 2, 3, 5}) expect_verified({1, p, 1, m, "1f1b", kUntied});
  }
}

TEST(Verify, AllAxesTogether) {
  for (const SplitMode mode : {SplitMode::gather, SplitMode::megatron}) {
    expect_verified({2, 2, 2, 3, "1f1b", kUntied, 7, mode});
    expect_verified({2, 2, 2, 3, "1f1b", "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1", 7, mode});
    expect_verified({1, 2, 3, 2, "zb-h1", kUntied, 6, mode});
    expect_verified({3, 1, 1, 2, "gpipe", kMlp, 11, mode});
    expect_verified({1, 1, 3, 2, "1f1b", kMlp, 6, mode});
    expect_verified({2, 2, 1, 4, "interleaved", kUntied, 9, mode});
    expect_verified({1, 2, 2, 2, "1f1b", "fixture:resnet_tiny.ts17", 4, mode});
  }
}

// Every kind of epilogue, which this model's GELU by tanh has beside the biases and their gradients.
TEST(Verify, Epilogues) {
  const char* model = "fixture:gpt_tiny.ts17";
  for (const Recompute recompute : {Recompute::none, Recompute::full}) {
    const Techniques techniques{.recompute = recompute};
    expect_verified({2, 2, 2, 2, "1f1b", model, 8, SplitMode::megatron, true, false, techniques});
    expect_verified({1, 2, 1, 4, "zb-h1", model, 4, SplitMode::megatron, true, false, techniques});
    expect_verified({1, 1, 2, 1, "1f1b", model, 2, SplitMode::gather, true, false, techniques});
  }
  expect_verified({1, 2, 2, 2, "1f1b", model, 4, SplitMode::megatron, true, false, {.sequence_parallel = true}});
}

TEST(Verify, PartsOfTheSequence) {
  const char* tied = "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1";
  const Techniques parts{.sequence_parallel = true};
  const Techniques again{.recompute = Recompute::full, .sequence_parallel = true};
  for (const Techniques& techniques : {parts, again}) {
    expect_verified({2, 2, 2, 3, "1f1b", tied, 7, SplitMode::megatron, true, false, techniques});
    expect_verified({1, 2, 3, 2, "zb-h1", kUntied, 6, SplitMode::megatron, true, false, techniques});
    expect_verified({1, 4, 2, 4, "gpipe", kUntied, 6, SplitMode::megatron, false, false, techniques});
  }
}

Verification verification(const VerifiedLayout& layout) {
  ModelGraphs graphs(layout.model, layout.techniques);
  const Mesh mesh(layout.d, layout.p, layout.t);
  return verify([&](std::int64_t samples) { return graphs.of(samples); }, mesh, options_of(layout));
}

// One rank of each class is looked at, and all are counted.
TEST(Verify, ClassesStandForAllRanks) {
  struct Case {
    VerifiedLayout layout;
    int classes;
  };
  const Case cases[] = {
      {{4, 2, 2, 2, "1f1b", kUntied, 8}, 2 * 2},                               // three heads over two ranks
      {{4, 2, 2, 2, "1f1b", kUntied, 9}, 2 * 2 * 2},                           // and one replica with a sample more
      {{5, 3, 1, 1, "gpipe", kMlp, 5}, 3},                                     // stages alone
      {{2, 1, 2, 1, "1f1b", "gpt:layers=1,width=8,heads=2,seq=4,vocab=8"}, 1}  // all alike
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(text_of(c.layout));
    const Verification found = verification(c.layout);
    EXPECT_TRUE(found.holds()) << text_of(found.findings);
    EXPECT_EQ(found.classes, c.classes);
    const World world(c.layout);
    std::size_t tasks = 0;
    for (const auto& rank : world.ranks) tasks += rank->tasks.tasks.size();
    EXPECT_EQ(found.tasks, static_cast<std::int64_t>(tasks));
    EXPECT_EQ(found.ranks, world.mesh.world_size());
  }
}

TEST(Verify, SaysWhatWasProven) {
  Verification verified = verification({1, 2, 1, 2});
  EXPECT_TRUE(verified.summary().starts_with(
      fmt::format("verified: {} tasks on 2 ranks compute the model (2 ranks stand for all)", verified.tasks)))
      << verified.summary();
  verified.findings.push_back({"reads h before it is made", 1, 7, "F.m0.s1.d0.t0.n3"});
  EXPECT_EQ(verified.summary(), fmt::format("not verified: 1 finding in {} tasks on 2 ranks", verified.tasks));
  EXPECT_EQ(verified.findings[0].to_string(), "rank 1, F.m0.s1.d0.t0.n3 (task 7): reads h before it is made");
}

TEST(Verify, NoRankKeepsMoreThanItsScheduleSays) {
  for (const ScheduleDef* schedule : trainable_schedules()) {
    const World world({1, 3, 1, 7, std::string(schedule->name), "gpt:layers=6,width=12,heads=3,seq=4,vocab=7", 7});
    for (const auto& rank : world.ranks) EXPECT_TRUE(verify_live_passes(*rank, *schedule).empty()) << schedule->name;
  }
  const World all_at_once({1, 3, 1, 7, "gpipe", kUntied, 7});
  const auto findings = verify_live_passes(*all_at_once.ranks[1], find_schedule("1f1b"));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].what, "is of pass 3 that is kept, 1f1b promises 2");
  EXPECT_TRUE(findings[0].where.starts_with("F.m2.s1")) << findings[0].where;
}

TEST(Verify, ForwardPassesAlone) {
  VerifiedLayout layout{2, 2, 2, 2};
  layout.forward_only = true;
  expect_verified(layout);
}

TEST(Verify, ReplicasThatDivideTheirStates) {
  const char* tied = "gpt:layers=4,width=12,heads=3,seq=4,vocab=7,tied=1";
  for (int zero = 1; zero <= Techniques::kMostZero; ++zero) {
    const Techniques shared{.zero = zero};
    const Techniques all{
        .recompute = Recompute::full, .sequence_parallel = true, .zero = zero, .dtype = DataType::bf16};
    for (const Techniques& techniques : {shared, all}) {
      expect_verified({3, 2, 1, 3, "1f1b", kUntied, 10, SplitMode::megatron, true, false, techniques});
      expect_verified({2, 2, 2, 4, "interleaved", tied, 9, SplitMode::megatron, false, false, techniques});
      expect_verified({2, 2, 1, 3, "zb-v", tied, 7, SplitMode::megatron, true, false, techniques});
    }
    expect_verified({1, 2, 1, 2, "1f1b", kMlp, 6, SplitMode::megatron, true, false, shared});
    expect_verified({2, 2, 1, 2, "1f1b", kMlp, 6, SplitMode::megatron, true, true, shared});
  }
}

}  // namespace
}  // namespace dml::test
