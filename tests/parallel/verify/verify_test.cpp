// What the builder makes is verified, for every schedule and kind of layout; what is not computed is told by its place.
#include "parallel/verify/verify.h"

#include <gtest/gtest.h>

#include "parallel/verify/division.h"
#include "parallel/verify/progress.h"
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
      const auto findings = verify_division(world.graphs.of(samples), split, rank->place());
      EXPECT_TRUE(findings.empty()) << text_of(findings);
    }
  }
  const auto findings = verify_tasks(world.set(), layout.clips);
  EXPECT_TRUE(findings.empty()) << text_of(findings);
}

TEST(Verify, AllSchedules) {
  for (const ScheduleDef& schedule : all_schedules()) {
    if (schedule.copies > 1) continue;
    for (const int m : {4, 6})
      expect_verified({1, 2, 1, m, std::string(schedule.name), "gpt:layers=6,width=12,heads=3,seq=4,vocab=7,tied=1"});
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

TEST(Verify, ForwardPassesAlone) {
  VerifiedLayout layout{2, 2, 2, 2};
  layout.forward_only = true;
  expect_verified(layout);
}

}  // namespace
}  // namespace dml::test
