#include "launch/report/graph/drawing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "tests/launch/report/graph/small_plan.h"

namespace dml {
namespace {

class DrawingOfLayout : public testing::TestWithParam<std::tuple<int, int, int>> {
 protected:
  LayoutPlan plan_{[] {
    const auto [d, p, t] = GetParam();
    return small_config(d, p, t, 8);
  }()};
  Drawing drawing_ = drawing_of(plan_);
};

DrawnCost cost_of_replica(const Drawing& drawing, int replica) {
  std::vector<DrawnCost> all;
  for (const DrawnTask& task : drawing.program(replica).tasks) all.push_back(total_of(task.costs));
  for (const DrawnTransfer& transfer : drawing.program(replica).transfers) all.push_back(total_of(transfer.costs));
  return total_of(all);
}

TEST_P(DrawingOfLayout, CostsWhatItsRanksDo) {
  for (int d = 0; d < plan_.mesh().d(); ++d) {
    double flops = 0;
    std::int64_t bytes = 0;
    for (int rank = 0; rank < plan_.mesh().world_size(); ++rank) {
      if (plan_.mesh().coordinate(rank).d != d) continue;
      const RankTasks tasks = plan_.partition(rank).tasks;
      for (const Task& task : tasks.tasks) {
        if (task.kind == TaskKind::receive) continue;  // counted where it is sent
        flops += tasks.work_of(task).flops;
        bytes += tasks.work_of(task).bytes;
      }
    }
    EXPECT_DOUBLE_EQ(cost_of_replica(drawing_, d).step_flops, flops);
    EXPECT_EQ(cost_of_replica(drawing_, d).step_bytes, bytes);
  }
}

TEST_P(DrawingOfLayout, WaitsForWhatStandsBefore) {
  const DrawnProgram& program = drawing_.program(0);
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    for (const int input : program.tasks[i].inputs) {
      ASSERT_LT(input, static_cast<int>(i)) << program.tasks[i].name;
      EXPECT_EQ(program.tasks[static_cast<std::size_t>(input)].position, program.tasks[i].position);
    }
    for (const int transfer : program.tasks[i].transfers)
      EXPECT_EQ(program.transfers.at(static_cast<std::size_t>(transfer)).to_stage, program.tasks[i].stage);
  }
}

TEST_P(DrawingOfLayout, GivesEveryOperationALayerOfItsStage) {
  const DrawnProgram& program = drawing_.program(0);
  for (const DrawnTask& task : program.tasks) {
    if (task.id.phase == Phase::update) continue;
    ASSERT_NE(task.layer, kNone) << task.name;
    const std::vector<int>& stages = program.layers.at(static_cast<std::size_t>(task.layer)).stages;
    EXPECT_NE(std::find(stages.begin(), stages.end(), task.stage), stages.end()) << task.name;
  }
}

TEST_P(DrawingOfLayout, SendsWhatTheStageMakes) {
  for (const DrawnTransfer& transfer : drawing_.program(0).transfers) {
    EXPECT_EQ(std::abs(transfer.to_stage - transfer.from_stage), 1);
    if (transfer.source == kNone) continue;
    const DrawnTask& source = drawing_.program(0).tasks.at(static_cast<std::size_t>(transfer.source));
    EXPECT_EQ(source.stage, transfer.from_stage) << transfer.value.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, DrawingOfLayout,
                         testing::Values(std::tuple{1, 1, 1}, std::tuple{2, 1, 1}, std::tuple{1, 3, 1},
                                         std::tuple{1, 1, 3}, std::tuple{2, 2, 2}));

TEST(Drawing, HoldsOneProgramForReplicasOfEqualMicrobatches) {
  EXPECT_EQ(small_drawing(4, 1, 1, 8).programs.size(), 1U);
  const Drawing uneven = small_drawing(3, 1, 1, 8);  // 2, 3 and 3 samples
  EXPECT_EQ(uneven.programs.size(), 2U);
  EXPECT_EQ(uneven.program_of, (std::vector<int>{0, 1, 1}));
  EXPECT_EQ(uneven.first_samples, (std::vector<std::int64_t>{0, 2, 5}));
}

TEST(Drawing, KeepsTheShapesOfAllRanksWhereTheyDiffer) {
  const Drawing drawing = small_drawing(1, 1, 3, 2);  // 4 heads of 8 over 3 ranks
  for (const DrawnTask& task : drawing.program(0).tasks) {
    if (task.name != "/blocks.0/attn/q/MatMul") continue;
    ASSERT_EQ(task.outputs.size(), 1U);
    EXPECT_EQ(task.outputs[0].whole, (Shape{2, 8, 32}));
    EXPECT_EQ(task.outputs[0].shapes, (std::vector<Shape>{{2, 8, 8}, {2, 8, 8}, {2, 8, 16}}));
    EXPECT_EQ(task.outputs[0].placement, "shard(2: 1x4x8)");
    return;
  }
  FAIL() << "no product of the queries";
}

TEST(Drawing, LabelsStagesByTheirLayers) {
  const std::vector<std::string> labels = small_drawing(1, 3, 1).stage_labels;
  ASSERT_EQ(labels.size(), 3U);
  EXPECT_TRUE(labels[0].starts_with("tok - ")) << labels[0];
  EXPECT_TRUE(labels[2].ends_with(" - head")) << labels[2];
}

TEST(Drawing, NamesLayersInForwardOrder) {
  std::vector<std::string> names;
  const Drawing drawing = small_drawing(1, 1, 1);
  for (const DrawnLayer& layer : drawing.program(0).layers) names.push_back(layer.name);
  const auto first = std::find(names.begin(), names.end(), "blocks.0");
  ASSERT_LT(first + 2, names.end());
  EXPECT_EQ(*(first + 1), "blocks.1");
  EXPECT_EQ(*(first + 2), "blocks.2");
}

}  // namespace
}  // namespace dml
