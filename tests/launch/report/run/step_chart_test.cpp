// The columns of a step: shared by ranks that do the same, exact to a tenth of a microsecond, bounded in size.
#include "launch/report/run/step_chart.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

namespace dml {
namespace {

using Json = nlohmann::json;

Task task(TaskKind kind, QueueId queue, std::int32_t operation, int peer = -1) {
  Task made;
  made.id.operation = operation;
  made.kind = kind;
  made.queue = queue;
  made.peer = peer;
  made.work = kind == TaskKind::compute ? 1 : 0;
  return made;
}

/// Two replicas of a pipeline of two: rank 0 sends to 1, and 2 to 3.
struct FourRanks {
  Mesh mesh{2, 2, 1};
  std::vector<RankTasks> ranks;
  Timeline timeline{.measured = true, .spans = {}};

  FourRanks() {
    for (const int rank : {0, 2}) {
      ranks.push_back(
          {rank,
           {task(TaskKind::compute, QueueId::compute, 5), task(TaskKind::send, QueueId::pipeline_send, 90, rank + 1)},
           {},
           {{.bytes = 64}, {.bytes = 64, .flops = 1e6}}});
      ranks.push_back({rank + 1, {task(TaskKind::receive, QueueId::pipeline_receive, 90, rank)}, {}, {{.bytes = 64}}});
    }
    const double later = 1e-6;
    for (const int rank : {0, 2}) {
      timeline.spans.push_back({0, rank, later * rank, 2e-3, 1e-3});
      timeline.spans.push_back({1, rank, 2e-3, 2.5e-3});
      timeline.spans.push_back({0, rank + 1, 0, 2.5e-3});
    }
  }

  Json chart(std::size_t most_spans = kMostChartSpans) const {
    const ChartSide side{"measured", &timeline};
    return Json::parse(step_chart_json(
        ranks, std::span(&side, 1), mesh, [](const RankTasks&, const Task& t) { return std::string(name_of(t.kind)); },
        most_spans));
  }
};

TEST(StepChart, RanksThatDoTheSameShareTheColumns) {
  const Json chart = FourRanks().chart();
  ASSERT_EQ(chart.at("programs").size(), 2);
  EXPECT_EQ(chart.at("ranks").at(2), (Json{{"rank", 2}, {"d", 1}, {"p", 0}, {"t", 0}, {"program", 0}}));
  EXPECT_EQ(chart.at("ranks").at(3).at("program"), 1);
  const Json& sender = chart.at("programs").at(0);
  EXPECT_EQ(sender.at("phase"), "FF");
  EXPECT_EQ(sender.at("operation"), (Json{5, 90}));
  EXPECT_EQ(sender.at("peer"), (Json{0, 1}));
  EXPECT_EQ(sender.at("flops"), (Json{1000000, 0}));
  EXPECT_EQ(chart.at("names").at(sender.at("name").at(1).get<std::size_t>()), "send");
  EXPECT_EQ(chart.at("kinds").at(sender.at("kind").at(1).get<std::size_t>()), "send");
}

TEST(StepChart, TimesAreDifferencesInWholeUnits) {
  const Json chart = FourRanks().chart();
  EXPECT_DOUBLE_EQ(chart.at("unit_us"), 0.1);
  const Json& third = chart.at("sides").at(0).at("ranks").at(2);
  EXPECT_EQ(third.at("start"), (Json{20, 19980}));
  EXPECT_EQ(third.at("length"), (Json{19980, 5000}));
  EXPECT_EQ(third.at("processor"), (Json{10000, -1}));
  EXPECT_FALSE(chart.at("sides").at(0).at("ranks").at(3).contains("processor"));
}

TEST(StepChart, ATaskThatDidNotRunHasNoLength) {
  FourRanks step;
  step.timeline.spans[0].start = -1;
  const Json first = step.chart().at("sides").at(0).at("ranks").at(0);
  EXPECT_EQ(first.at("start"), (Json{0, 20000}));
  EXPECT_EQ(first.at("length"), (Json{-1, 5000}));
}

TEST(StepChart, LeavesTheShortestOutOfAllRanksOfAProgram) {
  const Json chart = FourRanks().chart(4);
  EXPECT_EQ(chart.at("left_out").at("tasks"), 2);
  EXPECT_NEAR(chart.at("left_out").at("longest_us"), 500, 1e-6);
  EXPECT_EQ(chart.at("programs").at(0).at("operation"), Json::array({5}));
  EXPECT_EQ(chart.at("sides").at(0).at("ranks").at(2).at("length").size(), 1);
  EXPECT_EQ(FourRanks().chart().at("left_out").at("tasks"), 0);
}

TEST(StepChart, SidesStandInTheGivenOrder) {
  const FourRanks step;
  const std::vector<ChartSide> sides{{"simulated", &step.timeline}, {"measured", &step.timeline}};
  const Json chart =
      Json::parse(step_chart_json(step.ranks, sides, step.mesh, [](const RankTasks&, const Task&) { return "x"; }));
  EXPECT_EQ(chart.at("sides").at(0).at("name"), "simulated");
  EXPECT_EQ(chart.at("sides").at(1).at("ranks"), chart.at("sides").at(0).at("ranks"));
  EXPECT_EQ(chart.at("names").size(), 1);
}

}  // namespace
}  // namespace dml
