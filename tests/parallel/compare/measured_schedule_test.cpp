// Passes of a schedule that was played are measured to be that schedule, and what is wrong with others is said.
#include "parallel/compare/measured_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace dml::test {
namespace {

constexpr int kPositions = 4, kMicrobatches = 6;

struct Played {
  Pipeline pipeline;
  OrdersOf orders;
  ScheduleTimes times;
};

/// A schedule with stages of different length, on a clock that begins at 100.
Played played(const char* name) {
  const ScheduleDef& schedule = find_schedule(name);
  Pipeline pipeline{.placement = Placement(kPositions, schedule.chunks, schedule.placement),
                    .microbatches = kMicrobatches};
  Pipeline priced = pipeline;
  priced.latency = 0.25;
  for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
    const double forward = 1 + 0.1 * stage;
    priced.costs.push_back({forward, 1.5 * forward, 0.5 * forward, 3 * forward, 1, 0.5});
  }
  Played result{pipeline, schedule.orders, simulate(schedule.orders(priced), priced)};
  for (TimedAction& pass : result.times.actions) {
    pass.start += 100;
    pass.end += 100;
  }
  return result;
}

MeasuredSchedule measured(const Played& step) {
  return measure_schedule(step.times.actions, step.pipeline, step.orders);
}

std::string complaint(const Played& step) {
  try {
    measured(step);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(MeasuredSchedule, AScheduleThatWasPlayedIsItself) {
  for (const char* name : {"1f1b", "gpipe", "zb-h1", "zb-v", "interleaved"}) {
    const Played step = played(name);
    const MeasuredSchedule found = measured(step);
    EXPECT_NEAR(found.measured.makespan, step.times.makespan, 1e-9) << name;
    EXPECT_NEAR(found.simulated.makespan, step.times.makespan, 1e-9) << name;
    EXPECT_NEAR(found.measured.cost, step.times.cost, 1e-9) << name;
    EXPECT_NEAR(found.measured.bubble_rate, step.times.bubble_rate, 1e-9) << name;
    EXPECT_NEAR(found.pipeline.latency, 0.25, 1e-9) << name;
    EXPECT_NEAR(found.pipeline.costs[1].forward, 1.1, 1e-9) << name;
    EXPECT_TRUE(found.reordered.empty()) << name;
    EXPECT_LT(found.clock_difference, 1e-9) << name;
  }
}

TEST(MeasuredSchedule, WeightGradientsBelongToABackwardPassThatHasThem) {
  Played step = played("1f1b");
  const auto backward = std::find_if(step.times.actions.begin(), step.times.actions.end(),
                                     [](const TimedAction& pass) { return pass.action.phase == Phase::input_grad; });
  TimedAction weights = *backward;
  weights.action.phase = Phase::weight_grad;
  const double middle = (backward->start + backward->end) / 2;
  weights.start = backward->end = middle;
  step.times.actions.push_back(weights);
  EXPECT_NEAR(measured(step).measured.makespan, step.times.makespan, 1e-9);
}

TEST(MeasuredSchedule, AnotherOrderIsFoundAtItsFirstPass) {
  Played step = played("gpipe");
  step.orders = find_schedule("1f1b").orders;
  const MeasuredSchedule found = measured(step);
  ASSERT_FALSE(found.reordered.empty());
  EXPECT_EQ(found.reordered[0].position, 0);
  EXPECT_EQ(found.reordered[0].measured.to_string(), "0F4");
  EXPECT_EQ(found.reordered[0].scheduled.to_string(), "0B0");
}

TEST(MeasuredSchedule, ClocksThatDifferAreSeen) {
  Played step = played("1f1b");
  for (TimedAction& pass : step.times.actions) {
    if (pass.position != 2) continue;
    pass.start -= 3;
    pass.end -= 3;
  }
  EXPECT_NEAR(measured(step).clock_difference, 2.75, 1e-9);
}

TEST(MeasuredSchedule, PassesOfAnotherGraphAreRefused) {
  Played step = played("1f1b");
  const Played whole = step;
  step.times.actions.front().action.microbatch = kMicrobatches;
  EXPECT_EQ(complaint(step), "pass 0F6 at position 0 is none of the schedule");
  step = whole;
  step.times.actions.push_back(step.times.actions.front());
  EXPECT_EQ(complaint(step), "pass 0F0 is there twice");
  step = whole;
  step.times.actions.front().position = 1;
  EXPECT_EQ(complaint(step), "pass 0F0 ran at position 1, and is of position 0");
  step = whole;
  step.times.actions.pop_back();
  EXPECT_EQ(complaint(step), "1 of the schedule's 48 passes are missing, the first of them 3B5");
}

}  // namespace
}  // namespace dml::test
