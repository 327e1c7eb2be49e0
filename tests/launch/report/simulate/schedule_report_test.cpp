#include "launch/report/simulate/schedule_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace dml {
namespace {

SimulatedSchedule simulated(std::string_view name) {
  const ScheduleDef& schedule = find_schedule(name);
  Pipeline pipeline{.placement = Placement(2, schedule.chunks, schedule.placement), .microbatches = 4};
  std::vector<Order> orders = schedule.orders(pipeline);
  ScheduleTimes times = simulate(orders, pipeline);
  return {.name = std::string(name), .pipeline = pipeline, .orders = std::move(orders), .times = std::move(times)};
}

TEST(ScheduleReport, JsonOfOneScheduleIsFlat) {
  const std::vector<SimulatedSchedule> one{simulated("1f1b")};
  const auto json = nlohmann::json::parse(schedule_json(one));
  EXPECT_EQ(json["makespan"], 15);
  EXPECT_DOUBLE_EQ(json["bubble_rate"].get<double>(), 0.2);
  EXPECT_EQ(json["peak_memory"], 2);
  ASSERT_EQ(json["devices"].size(), 2U);
  EXPECT_EQ(json["devices"][1]["busy"], 12);
  EXPECT_EQ(json["devices"][1]["bubble"], 3);
}

TEST(ScheduleReport, JsonOfSeveralIsAList) {
  const std::vector<SimulatedSchedule> two{simulated("1f1b"), simulated("zb-h1")};
  const auto json = nlohmann::json::parse(schedule_json(two));
  ASSERT_EQ(json["schedules"].size(), 2U);
  EXPECT_EQ(json["schedules"][1]["schedule"], "zb-h1");
}

TEST(ScheduleReport, TextComparesWithTheShortestStep) {
  const std::vector<SimulatedSchedule> two{simulated("gpipe"), simulated("zb-2p")};
  const std::string text = schedule_text(two, 80, {});
  EXPECT_NE(text.find("100.00 %"), std::string::npos);
  EXPECT_NE(text.find("efficiency"), std::string::npos);
  EXPECT_EQ(text.find("of makespan"), std::string::npos);
  EXPECT_NE(schedule_text(std::vector{simulated("gpipe")}, 80, {}).find("of makespan"), std::string::npos);
}

}  // namespace
}  // namespace dml
