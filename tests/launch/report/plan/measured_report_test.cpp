// The regret of a prediction, and the lines of throughput over ranks.
#include "launch/report/plan/measured_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "launch/report/plan/scaling_report.h"

namespace dml::test {
namespace {

RankedLayout layout_of(int d, int p, int t, double seconds) {
  RankedLayout ranked{.layout = {.d = d, .p = p, .t = t, .schedule = &find_schedule("1f1b")}, .estimate = {}};
  ranked.estimate.seconds = seconds;
  return ranked;
}

PlanReport plan_of(int world, std::vector<RankedLayout> ranked) {
  PlanReport plan;
  plan.model = "gpt";
  plan.world = world;
  plan.batch = 8;
  plan.found.ranked = std::move(ranked);
  plan.found.one_device_seconds = 1;
  return plan;
}

TEST(MeasuredReport, RegretIsWhatThePredictedBestIsSlowerBy) {
  const std::vector<MeasuredLayout> layouts{{layout_of(2, 1, 1, 0.010), {0.012, 0.011, 0.013}},
                                            {layout_of(1, 1, 2, 0.011), {0.010, 0.010, 0.020}}};
  EXPECT_NEAR(regret_of(layouts), 0.2, 1e-12);
  const auto json = nlohmann::json::parse(measured_json(plan_of(2, {}), layouts));
  EXPECT_EQ(json.at("best"), 1);
  EXPECT_NEAR(json.at("layouts").at(0).at("measured_ms").get<double>(), 12, 1e-9);
  EXPECT_NE(measured_text(plan_of(2, {}), layouts, {}).find("regret 20.0 %"), std::string::npos);
}

TEST(ScalingReport, EachLineHasTheFastestLayoutOfItsKind) {
  const std::vector<PlanReport> plans{
      plan_of(1, {layout_of(1, 1, 1, 1)}),
      plan_of(2, {layout_of(1, 1, 2, 0.5), layout_of(2, 1, 1, 0.6), layout_of(1, 2, 1, 0.8)}),
      plan_of(4, {layout_of(2, 1, 2, 0.3), layout_of(4, 1, 1, 0.4)})};
  const ScalingReport report = scaling_of(plans);
  ASSERT_EQ(report.by_axis.size(), 4U);
  EXPECT_EQ(report.by_axis[0].name, "d alone");
  ASSERT_EQ(report.by_axis[0].points.size(), 3U);
  EXPECT_NEAR(report.by_axis[0].points[2].samples_per_s, 20, 1e-9);
  EXPECT_EQ(report.by_axis[1].points.size(), 2U);  // no pipeline of four fits
  EXPECT_NEAR(report.by_axis[3].points[2].samples_per_s, 8 / 0.3, 1e-9);
  ASSERT_EQ(report.over_t.size(), 2U);
  EXPECT_EQ(report.over_t[0].name, "d=1 m=1");
  EXPECT_EQ(report.over_t[0].points[1].layout.t, 2);
  EXPECT_NEAR(report.one_device, 8, 1e-12);
}

TEST(ScalingReport, CsvHasALineForEachPoint) {
  const std::vector<PlanReport> plans{plan_of(1, {layout_of(1, 1, 1, 1)}), plan_of(2, {layout_of(2, 1, 1, 0.5)})};
  const std::string csv = scaling_csv(scaling_of(plans));
  EXPECT_NE(csv.find("d alone,2,2,1,1,1,16,--d 2 --p 1 --t 1 --microbatches 1\n"), std::string::npos) << csv;
}

}  // namespace
}  // namespace dml::test
