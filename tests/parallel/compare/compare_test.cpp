// The measured step joined with the generated one, and what is read off the two.
#include "parallel/compare/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "parallel/partition.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

constexpr double kCompute = 2e-3, kMove = 5e-4;

/// The ranks of a small model at (2, 2, 2), and a step of theirs.
class Compare : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    PartitionOptions options;
    options.batch = 8;
    options.microbatches = 2;
    std::map<std::int64_t, Graph> graphs;
    const GraphOfBatch graph_of = [&](std::int64_t samples) {
      return graphs.try_emplace(samples, zoo_graph("gpt:layers=2,width=12,heads=2,seq=4,vocab=7,tied=1", samples))
          .first->second;
    };
    for (int rank = 0; rank < mesh().world_size(); ++rank)
      ranks_.push_back(make_partition(graph_of, mesh(), rank, options).tasks);
  }
  static void TearDownTestSuite() { ranks_.clear(); }

  static const Mesh& mesh() {
    static const Mesh mesh(2, 2, 2);
    return mesh;
  }
  /// Tasks take longer the later they are in their rank's list, so that no two ranks are alike.
  static SimulatedStep step() {
    return simulate_step(ranks_, mesh(), {{8, 8}}, [](const RankTasks& rank, std::size_t i) {
      const double base = rank.tasks[i].queue == QueueId::compute ? kCompute : kMove;
      return base * (1 + 0.01 * static_cast<double>(i % 7) + 0.1 * rank.rank);
    });
  }
  static MeasuredStep measured(const Timeline& timeline) {
    MeasuredStep result(ranks_.size());
    for (const Span& span : timeline.spans) {
      const auto rank = static_cast<std::size_t>(span.rank);
      const Task& task = ranks_[rank].tasks[static_cast<std::size_t>(span.task)];
      result[rank].push_back({task.id.to_string(), span.start, span.end});
    }
    return result;
  }

  static std::vector<RankTasks> ranks_;
};
std::vector<RankTasks> Compare::ranks_;

TEST_F(Compare, EveryTaskFindsItsTwin) {
  const SimulatedStep once = step();
  MeasuredStep executed = measured(once.timeline);
  for (auto& rank : executed) std::reverse(rank.begin(), rank.end());  // the order in the file does not matter
  const JoinedStep joined = join(ranks_, executed);
  EXPECT_TRUE(joined.not_executed.empty());
  EXPECT_TRUE(joined.not_generated.empty());
  ASSERT_EQ(joined.measured.spans.size(), once.timeline.spans.size());
  for (std::size_t i = 0; i < joined.measured.spans.size(); ++i)
    EXPECT_EQ(joined.measured.spans[i].end, once.timeline.spans[i].end);
}

TEST_F(Compare, WhatOneSideLacksIsNamed) {
  MeasuredStep executed = measured(step().timeline);
  const std::string lost = executed[3].back().id;
  executed[3].back().id = "F.m9.s9.d9.t9.n9";
  const JoinedStep joined = join(ranks_, executed);
  ASSERT_EQ(joined.not_executed.size(), 1U);
  EXPECT_EQ(joined.not_executed[0].id, lost);
  EXPECT_EQ(joined.not_executed[0].rank, 3);
  ASSERT_EQ(joined.not_generated.size(), 1U);
  EXPECT_EQ(joined.not_generated[0].id, "F.m9.s9.d9.t9.n9");
}

TEST_F(Compare, AReplayOfAStepIsTheStep) {
  const SimulatedStep once = step();
  const SimulatedStep again = simulate_step(ranks_, mesh(), {{8, 8}}, measured_seconds(ranks_, once.timeline, mesh()));
  EXPECT_NEAR(again.seconds, once.seconds, 1e-12);
  for (std::size_t i = 0; i < once.timeline.spans.size(); ++i)
    EXPECT_NEAR(again.timeline.spans[i].end, once.timeline.spans[i].end, 1e-12);
}

TEST_F(Compare, GroupsSumTheTasksOfBothSides) {
  const SimulatedStep once = step();
  Timeline twice = once.timeline;
  for (Span& span : twice.spans) span.end += span.end - span.start;
  const auto groups = compare_groups(
      ranks_, once.timeline, twice, [](const RankTasks&, const Task& task) { return std::string(name_of(task.kind)); });
  std::size_t count = 0, all = 0;
  for (const ComparedGroup& group : groups) {
    count += static_cast<std::size_t>(group.count);
    EXPECT_NEAR(group.measured, 2 * group.predicted, 1e-12) << group.name;
  }
  for (const RankTasks& rank : ranks_) all += rank.tasks.size();
  EXPECT_EQ(count, all);
}

TEST_F(Compare, TheLargestDifferenceComesFirst) {
  const SimulatedStep once = step();
  Timeline off = once.timeline;
  off.spans[40].end += 1;
  off.spans[90].end += 2;
  const auto tasks = largest_differences(ranks_, once.timeline, off, 2);
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_EQ(tasks[0].task, off.spans[90].task);
  EXPECT_EQ(tasks[0].rank, off.spans[90].rank);
  EXPECT_NEAR(tasks[1].measured - tasks[1].predicted, 1, 1e-12);
}

TEST_F(Compare, TheErrorOfTasksIsWithoutSigns) {
  const SimulatedStep once = step();
  Timeline off = once.timeline;
  for (std::size_t i = 0; i < off.spans.size(); ++i) {
    const double seconds = off.spans[i].end - off.spans[i].start;
    off.spans[i].end += i % 2 == 0 ? 0.5 * seconds : -0.5 * seconds;
  }
  EXPECT_EQ(task_error(ranks_, once.timeline, once.timeline), 0);
  EXPECT_NEAR(task_error(ranks_, off, once.timeline), 0.5, 1e-9);
}

TEST_F(Compare, TheCriticalPathFillsTheStep) {
  const SimulatedStep once = step();
  const auto path = critical_path(ranks_, mesh(), once.timeline);
  double seconds = 0;
  for (const PathStep& part : path) {
    EXPECT_GE(part.seconds, 0);
    seconds += part.seconds;
  }
  EXPECT_NEAR(seconds, once.seconds, 1e-12);
  // Without gaps: nothing on it waits, so it is the work of its tasks.
  double work = 0;
  for (const PathStep& part : path) {
    const Task& task = ranks_[static_cast<std::size_t>(part.rank)].tasks[static_cast<std::size_t>(part.task)];
    work += task.queue == QueueId::compute ? kCompute : kMove;
  }
  EXPECT_GE(once.seconds, work);
  EXPECT_LE(once.seconds, 1.8 * work);
}

double seconds_in(const std::vector<PathGroup>& groups, const std::string& name) {
  double seconds = 0;
  for (const PathGroup& group : groups) seconds += group.name == name ? group.seconds : 0;
  return seconds;
}

/// The groups by kind of a step in which tasks of one kind take longer, or ranks rest before them.
std::vector<PathGroup> groups_by_kind(std::span<const RankTasks> ranks, const Mesh& mesh, const Timeline& timeline) {
  const auto path = critical_path(ranks, mesh, timeline);
  return path_groups(ranks, path, [](const RankTasks&, const Task& task) { return kind_of(task); });
}

TEST_F(Compare, TheKindThatWasMadeSlowHasTheDifference) {
  const auto step_with = [](double backward) {
    return simulate_step(ranks_, mesh(), {{8, 8}}, [backward](const RankTasks& rank, std::size_t i) {
      if (rank.tasks[i].queue != QueueId::compute) return kMove;
      return kind_of(rank.tasks[i]) == "backward" ? backward : kCompute;
    });
  };
  const SimulatedStep once = step_with(kCompute), slow = step_with(1.5 * kCompute);
  const auto before = groups_by_kind(ranks_, mesh(), once.timeline);
  const auto after = groups_by_kind(ranks_, mesh(), slow.timeline);
  const double difference = slow.seconds - once.seconds;
  ASSERT_GT(difference, 10 * kCompute);
  EXPECT_NEAR(seconds_in(after, "backward") - seconds_in(before, "backward"), difference, 0.1 * difference);
  double sum = 0;
  for (const PathGroup& group : after) sum += group.seconds;
  for (const PathGroup& group : before) sum -= group.seconds;
  EXPECT_NEAR(sum, difference, 1e-12);
}

TEST_F(Compare, TimeWithoutATaskIsAGroupOfItsOwn) {
  SimulatedStep rested = step();
  const double before = seconds_in(groups_by_kind(ranks_, mesh(), rested.timeline), kBetweenTasks);
  constexpr double kRest = 3e-4;
  const auto path = critical_path(ranks_, mesh(), rested.timeline);
  // The last task alone begins and ends later.
  for (Span& span : rested.timeline.spans) {
    if (span.rank != path.back().rank || span.task != path.back().task) continue;
    span.start += kRest;
    span.end += kRest;
  }
  const auto groups = groups_by_kind(ranks_, mesh(), rested.timeline);
  EXPECT_NEAR(before, 0, 1e-12);
  EXPECT_NEAR(seconds_in(groups, kBetweenTasks), kRest, 1e-12);
}

}  // namespace
}  // namespace dml::test
