// The table of runs beside each other: every group of any run, the worst first, and sums that are the steps.
#include "launch/report/compare/runs_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace dml::test {
namespace {

std::vector<ComparedRun> two_runs() {
  return {{.folder = "a",
           .layout = "p=2",
           .traced_step = 0.010,
           .step_seconds = {0.010, 0.011, 0.012},
           .kinds = {{"forward", 4, 0.006}, {"receive", 2, 0.004}},
           .operations = {{"MatMul", 6, 0.010}}},
          {.folder = "b",
           .layout = "t=2",
           .traced_step = 0.013,
           .step_seconds = {0.013},
           .kinds = {{"all_reduce t", 8, 0.006}, {"forward", 4, 0.007}},
           .operations = {{"MatMul", 6, 0.013}}}};
}

TEST(RunsReport, DifferencesOfKindsAddUpToThatOfTheSteps) {
  const auto json = nlohmann::json::parse(runs_json(two_runs()));
  ASSERT_EQ(json.at("kinds").size(), 3U);
  double sum = 0;
  for (const auto& kind : json.at("kinds")) sum += kind.at("difference_ms").at(1).get<double>();
  EXPECT_NEAR(sum, 3, 1e-9);
  EXPECT_EQ(json.at("kinds").at(0).at("name"), "all_reduce t");
  EXPECT_NEAR(json.at("kinds").at(1).at("difference_ms").at(1).get<double>(), -4, 1e-9);
  EXPECT_EQ(json.at("runs").at(0).at("median_step_ms").get<double>(), 11);
}

TEST(RunsReport, TheTableNamesRunsByLettersAndEndsInTheStep) {
  const std::string text = runs_text(two_runs(), {});
  EXPECT_NE(text.find("B - A"), std::string::npos);
  EXPECT_NE(text.find("all_reduce t   0.000   6.000  +6.000"), std::string::npos) << text;
  EXPECT_NE(text.find("the step      10.000  13.000  +3.000"), std::string::npos) << text;
}

}  // namespace
}  // namespace dml::test
