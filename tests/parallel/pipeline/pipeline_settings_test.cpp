#include "parallel/pipeline/pipeline_settings.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

namespace dml {
namespace {

std::vector<StageCost> stages(int count) {
  std::vector<StageCost> model;
  for (int i = 0; i < count; ++i) model.push_back({1.0 + i, 2.0 + i, 3, 5.5 + i, 8, 4});
  return model;
}

TEST(PipelineSettings, NeighboursAreMerged) {
  const std::vector<StageCost> merged = with_stages(stages(6), 2);
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[1].forward, 4 + 5 + 6);
  EXPECT_EQ(merged[1].input_grad, 5 + 6 + 7);
  EXPECT_EQ(merged[1].weight_grad, 9);
  EXPECT_EQ(merged[1].overlapped, 8.5 + 9.5 + 10.5);
  EXPECT_EQ(merged[1].activations, 24);
  EXPECT_EQ(merged[1].weight_inputs, 12);
}

TEST(PipelineSettings, StagesAreCutEvenly) {
  const std::vector<StageCost> cut = with_stages(stages(2), 8);
  ASSERT_EQ(cut.size(), 8U);
  EXPECT_EQ(cut[3].forward, 0.25);
  EXPECT_EQ(cut[4].forward, 0.5);
  EXPECT_EQ(cut[7].activations, 2);
}

TEST(PipelineSettings, NumbersThatDoNotDivideAreRefused) {
  EXPECT_THROW(with_stages(stages(6), 4), std::invalid_argument);
  EXPECT_THROW(with_stages(stages(4), 6), std::invalid_argument);
}

/// All that one microbatch costs, on all stages of the pipeline.
double work(const Pipeline& pipeline) {
  return std::accumulate(pipeline.costs.begin(), pipeline.costs.end(), 0.0,
                         [](double sum, const StageCost& c) { return sum + c.forward + c.input_grad + c.weight_grad; });
}

TEST(PipelineSettings, EveryScheduleSimulatesTheSameModel) {
  const PipelineSettings settings{.positions = 4, .microbatches = 6, .model = stages(8), .latency = 0.5};
  for (const ScheduleDef& schedule : all_schedules()) {
    const Pipeline pipeline = pipeline_of(schedule, settings);
    EXPECT_EQ(static_cast<int>(pipeline.costs.size()), pipeline.placement.num_stages()) << schedule.name;
    EXPECT_DOUBLE_EQ(work(pipeline), schedule.copies * (36.0 + 44.0 + 24.0)) << schedule.name;
    EXPECT_EQ(pipeline.latency, 0.5);
    EXPECT_EQ(pipeline.microbatches, 6);
  }
}

TEST(PipelineSettings, ChunksAreThoseAskedForElseThoseOfTheModelElseTheSchedules) {
  const ScheduleDef& interleaved = find_schedule("interleaved");
  PipelineSettings settings{.positions = 4, .model = stages(12)};
  EXPECT_EQ(pipeline_of(interleaved, settings).placement.num_stages(), 12);
  settings.chunks = 6;
  EXPECT_EQ(pipeline_of(interleaved, settings).placement.num_stages(), 24);
  EXPECT_EQ(pipeline_of(find_schedule("zb-h1"), settings).placement.num_stages(), 4);
  settings = {.positions = 4, .model = stages(4)};
  EXPECT_EQ(pipeline_of(interleaved, settings).placement.num_stages(), 8);
}

}  // namespace
}  // namespace dml
