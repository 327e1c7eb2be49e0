// A run of any length becomes few points that keep its means.
#include "launch/report/run/run_history.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

namespace dml {
namespace {

using Json = nlohmann::json;

TEST(MeanRows, KeepsFewRowsAsTheyAre) {
  MeanRows rows(4);
  for (const double x : {1, 2, 3, 4}) rows.add(std::array{x, 10 * x});
  EXPECT_EQ(rows.rows_per_mean(), 1);
  EXPECT_EQ(rows.column(0), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(rows.column(1), (std::vector<double>{10, 20, 30, 40}));
}

TEST(MeanRows, AveragesNeighboursWhereThereAreMore) {
  MeanRows rows(4);
  for (int x = 1; x <= 11; ++x) rows.add(std::array{static_cast<double>(x)});
  EXPECT_EQ(rows.rows_per_mean(), 4);
  EXPECT_EQ(rows.column(0), (std::vector<double>{2.5, 6.5, 10}));
}

TEST(MeanRows, StaysSmallAndKeepsTheMean) {
  MeanRows rows(100);
  constexpr int kRows = 12'800;
  for (int x = 0; x < kRows; ++x) rows.add(std::array{static_cast<double>(x)});
  EXPECT_LE(rows.size(), 100);
  const std::vector<double> means = rows.column(0);
  EXPECT_NEAR(std::accumulate(means.begin(), means.end(), 0.0) / static_cast<double>(means.size()), (kRows - 1) / 2.0,
              1e-6);
}

StepRecord record_of(std::int64_t step) {
  StepRecord record;
  record.step = step;
  record.loss = 5.0 - static_cast<double>(step);
  record.tokens_per_s = 1000;
  record.mean = {
      .step = 0.01, .compute = 0.004, .core_wait = 0.001, .exposed_comm = 0.003, .bubble = 0.002, .other = 0};
  return record;
}

std::vector<RankStep> ranks_of(int num) {
  std::vector<RankStep> ranks;
  for (int rank = 0; rank < num; ++rank) {
    RankStep step;
    step.rank = rank;
    step.resident_bytes = std::int64_t{3} << (20 + rank);
    step.cpu_percent = 50.0 + rank;
    ranks.push_back(step);
  }
  return ranks;
}

TEST(RunHistory, HasColumnsOfStepsAndOfRanks) {
  RunHistory history(2);
  history.add(record_of(0), ranks_of(2));
  StepRecord second = record_of(1);
  second.validation_loss = 4.25;
  history.add(second, ranks_of(2));
  const Json json = Json::parse(history.json());
  EXPECT_EQ(json.at("counts"), "tokens");
  EXPECT_EQ(json.at("steps").at("step"), (Json{1, 2}));
  EXPECT_EQ(json.at("steps").at("loss"), (Json{5, 4}));
  EXPECT_EQ(json.at("steps").at("compute_ms"), (Json{4, 4}));
  EXPECT_EQ(json.at("validation"), (Json{{"step", {2}}, {"value", {4.25}}}));
  EXPECT_FALSE(json.contains("accuracy"));
  EXPECT_EQ(json.at("use").at("memory_mib").at(1), (Json{6, 6}));
  EXPECT_EQ(json.at("use").at("cpu_percent").at(1), (Json{51, 51}));
}

TEST(RunHistory, ALossThatIsNoNumberIsNull) {
  RunHistory history(1);
  StepRecord record = record_of(0);
  record.loss = std::numeric_limits<double>::quiet_NaN();
  history.add(record, ranks_of(1));
  EXPECT_TRUE(Json::parse(history.json()).at("steps").at("loss").at(0).is_null());
}

TEST(RunHistory, StaysSmallForManyStepsAndRanks) {
  RunHistory history(64);
  const std::vector<RankStep> ranks = ranks_of(1);
  for (int step = 0; step < 5000; ++step) history.add(record_of(step), ranks);
  EXPECT_LT(history.json().size(), 1'000'000);
}

}  // namespace
}  // namespace dml
