#include "parallel/simulate/task_list.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

namespace dml {
namespace {

TEST(TaskList, ATaskWaitsForItsTurnAndItsInputs) {
  TaskList tasks(2);
  const auto a = tasks.add(0, 2);
  const auto b = tasks.add(1, 1);
  tasks.wait_for(a, 0.5);
  const auto c = tasks.add(0, 1);
  const auto d = tasks.add(0, 1);
  tasks.wait_for(b, 0.25);
  tasks.wait_for(a, 0);
  const TaskTimes times = replay(tasks);
  EXPECT_EQ(times.start, (std::vector<double>{0, 2.5, 2, 3.75}));
  EXPECT_EQ(times.end, (std::vector<double>{2, 3.5, 3, 4.75}));
  EXPECT_EQ(c + 1, d);
}

TEST(TaskList, ATaskMayWaitForOneAddedLater) {
  TaskList tasks(2);
  tasks.add(0, 1);
  tasks.wait_for(1, 0);
  tasks.add(1, 3);
  EXPECT_EQ(replay(tasks).start[0], 3);
}

TEST(TaskList, WaitingForEachOtherIsRefused) {
  TaskList tasks(2);
  tasks.add(0, 1);
  tasks.wait_for(1, 0);
  tasks.add(1, 1);
  tasks.wait_for(0, 0);
  EXPECT_THROW(replay(tasks), std::invalid_argument);
}

TEST(TaskList, WaitingForOnesOwnQueueIsRefused) {
  TaskList tasks(1);
  tasks.add(0, 1);
  tasks.wait_for(1, 0);
  tasks.add(0, 1);
  EXPECT_THROW(replay(tasks), std::invalid_argument);
}

TEST(TaskList, WhatIsNotThereIsRefused) {
  TaskList tasks(1);
  EXPECT_THROW(tasks.add(1, 1), std::invalid_argument);
  tasks.add(0, 1);
  tasks.wait_for(7, 0);
  EXPECT_THROW(replay(tasks), std::invalid_argument);
}

/// Against the definition itself: every start is the latest of what it waits for, of which one is met exactly.
TEST(TaskList, StartsAreTheEarliestPossible) {
  std::mt19937 random(7);
  const auto below = [&](int end) { return std::uniform_int_distribution<std::int32_t>(0, end - 1)(random); };
  TaskList tasks(5);
  std::vector<std::int32_t> last(5, -1), before;
  for (std::int32_t task = 0; task < 2000; ++task) {
    const auto resource = below(5);
    tasks.add(resource, below(9));
    for (int k = below(3); task > 0 && k > 0; --k) tasks.wait_for(below(task), below(2));
    before.push_back(last[static_cast<std::size_t>(resource)]);
    last[static_cast<std::size_t>(resource)] = task;
  }
  const TaskTimes times = replay(tasks);
  for (std::int32_t task = 0; task < tasks.num_tasks(); ++task) {
    const auto at = static_cast<std::size_t>(task);
    double earliest = before[at] < 0 ? 0 : times.end[static_cast<std::size_t>(before[at])];
    for (const Dependency& dependency : tasks.dependencies(task))
      earliest = std::max(earliest, times.end[static_cast<std::size_t>(dependency.task)] + dependency.latency);
    ASSERT_EQ(times.start[at], earliest) << task;
    ASSERT_EQ(times.end[at], earliest + tasks.duration(task)) << task;
  }
}

}  // namespace
}  // namespace dml
