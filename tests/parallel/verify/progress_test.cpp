// Whether all ranks get to the end of a step: every schedule does, and circles of waits that are planted are found.
#include "parallel/verify/progress.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/parallel/verify/partitions.h"
#include "tests/parallel/verify/planting.h"

namespace dml::test {
namespace {

constexpr const char* kDeepMlp = "mlp:in=3,hidden=3x3x3x3x3x3x3x3x3x3x3x3x3,out=3";

VerifiedLayout pipeline(std::string_view schedule, int p, int microbatches) {
  return {1, p, 1, microbatches, std::string(schedule), kDeepMlp, microbatches};
}

std::string stop_of(const World& world) {
  const auto findings = verify_progress(world.set());
  return findings.empty() ? "" : findings.front().to_string();
}

// Some of these run ahead of their receivers by more than one pass, so that one buffer for a channel would stop them.
TEST(VerifyProgress, EverySchedule) {
  for (const ScheduleDef* schedule : trainable_schedules()) {
    for (const int p : {2, 3, 6}) {
      for (const int m : {1, 2, 5, 13, 24}) {
        const World world(pipeline(schedule->name, p, m));
        EXPECT_EQ(stop_of(world), "") << text_of(world.layout);
      }
    }
  }
}

/// Sends a forward pass's values only behind what comes back for them, and what follows on their channel behind them.
std::string send_behind_answer(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) {
    return t.kind == TaskKind::send && t.id.phase == Phase::forward;
  });
  if (!found) return "";
  std::string text = found->text();
  const TaskId id = found->task().id;
  RankTasks& tasks = found->rank->tasks;
  const auto reads_answer = std::ranges::find_if(tasks.tasks, [&](const Task& t) {
    return t.id.phase != Phase::forward && t.id.stage == id.stage && t.id.microbatch == id.microbatch &&
           t.kind == TaskKind::compute;
  });
  if (reads_answer == tasks.tasks.end()) return "";
  move_behind(tasks, static_cast<std::size_t>(reads_answer - tasks.tasks.begin()) + 1, [&](std::size_t at) {
    const Task& t = tasks.tasks[at];
    return t.kind == TaskKind::send && t.id.phase == id.phase && t.id.stage == id.stage &&
           t.id.microbatch >= id.microbatch;
  });
  return text;
}

TEST(VerifyProgress, PlantedCirclesAreRefused) {
  unsigned seed = 0;
  int planted = 0;
  for (const ScheduleDef* schedule : trainable_schedules()) {
    for (const int p : {2, 3, 4}) {
      for (int repetition = 0; repetition < 4; ++repetition) {
        World world(pipeline(schedule->name, p, 5));
        Random random(++seed);
        const std::string fault = send_behind_answer(world, random);
        if (fault.empty()) continue;
        ++planted;
        EXPECT_NE(stop_of(world).find("waits for ever"), std::string::npos)
            << "seed " << seed << ", " << text_of(world.layout) << ": " << fault;
      }
    }
  }
  EXPECT_GT(planted, 100);
}

// The first rank sends only when it has the gradient of what it would send.
TEST(VerifyProgress, ACircleNamesItsRanks) {
  World world({1, 2, 1, 1});
  RankTasks& first = world.ranks[0]->tasks;
  const auto send = std::ranges::find(first.tasks, TaskKind::send, &Task::kind) - first.tasks.begin();
  const auto receive = std::ranges::find(first.tasks, TaskKind::receive, &Task::kind) - first.tasks.begin();
  ASSERT_LT(receive, send);
  first.deps.push_back(static_cast<std::int32_t>(receive));
  first.tasks[static_cast<std::size_t>(send)].first_dep = static_cast<std::int32_t>(first.deps.size()) - 1;
  first.tasks[static_cast<std::size_t>(send)].num_deps = 1;
  const std::string stop = stop_of(world);
  EXPECT_NE(stop.find("waits for ever: rank 0 in receive B.m0.s0"), std::string::npos) << stop;
  EXPECT_NE(stop.find("for rank 1, rank 1 in receive F.m0.s1"), std::string::npos) << stop;
}

// Each group has one order of collectives, and yet two ranks wait for each other across two groups.
TEST(VerifyProgress, CirclesOverTwoGroups) {
  World world({1, 1, 2, 1, "1f1b", kDeepMlp, 2});
  ASSERT_EQ(stop_of(world), "");
  Task sum;
  sum.id.phase = Phase::update;
  sum.kind = TaskKind::all_reduce;
  sum.queue = QueueId::data_comm;
  sum.axis = Axis::world;
  RankTasks& early = world.ranks[0]->tasks;
  insert(early, 0, sum);
  early.deps.push_back(0);
  early.tasks[1].first_dep = static_cast<std::int32_t>(early.deps.size()) - 1;
  early.tasks[1].num_deps = 1;
  RankTasks& late = world.ranks[1]->tasks;
  insert(late, late.tasks.size() - 2, sum);
  const std::string stop = stop_of(world);
  EXPECT_NE(stop.find("rank 0 in all_reduce U."), std::string::npos) << stop;
  EXPECT_NE(stop.find("for rank 1, rank 1 in all_reduce F."), std::string::npos) << stop;
}

}  // namespace
}  // namespace dml::test
