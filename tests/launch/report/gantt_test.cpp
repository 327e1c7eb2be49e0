#include "launch/report/gantt.h"

#include <gtest/gtest.h>

#include "parallel/pipeline/orders.h"

namespace dml {
namespace {

ScheduleTimes times_of(const char* name, int p, int m, const StageCost& cost) {
  const ScheduleDef& schedule = find_schedule(name);
  Pipeline pipeline{.placement = Placement(p, schedule.chunks, schedule.placement), .microbatches = m};
  pipeline.costs.assign(static_cast<std::size_t>(p * schedule.chunks), cost);
  return simulate(schedule.orders(pipeline), pipeline);
}

TEST(Gantt, AColumnIsAnEqualPartOfTheTime) {
  const ScheduleTimes times = times_of("1f1b", 2, 2, StageCost{1, 1, 1});  // a makespan of 9
  EXPECT_EQ(gantt_text(times, times.makespan, 5 + 36, {}),
            "  0  F0--F1--........B0------....B1------\n"
            "  1  ....F0--B0------F1--B1------........\n");
}

TEST(Gantt, ANumberWithoutRoomIsLeftOut) {
  const ScheduleTimes times = times_of("gpipe", 1, 2, StageCost{1, 1, 1});
  EXPECT_EQ(gantt_text(times, 6 * times.makespan, 5 + 36, {}), "  0  FFB0B1" + std::string(30, '.') + "\n");
}

TEST(Gantt, APairIsOnePass) {
  const ScheduleTimes times = times_of("1f1b-overlap", 1, 2, StageCost{1, 1, 1, 3});
  EXPECT_EQ(gantt_text(times, times.makespan, 5 + 24, {}), "  0  F0--X1----------B1------\n");
}

TEST(Gantt, ManyDevicesAreCutShort) {
  const std::string text = gantt_text(times_of("1f1b", 6, 6, {}), 33, 80, {}, 4);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_TRUE(text.ends_with("  and 2 more devices\n"));
}

TEST(Gantt, NoTimeAtAllIsNoFault) {
  EXPECT_EQ(gantt_text(times_of("1f1b", 1, 1, StageCost{0, 0, 0}), 0, 25, {}), "  0  " + std::string(20, '.') + "\n");
}

}  // namespace
}  // namespace dml
