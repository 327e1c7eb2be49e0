#include "parallel/plan_annotations.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "parallel/pipeline/cut.h"
#include "tests/parallel/training_graphs.h"

namespace dml {
namespace {

using test::training_graph;

constexpr const char* kGpt = "gpt:layers=2,width=16,heads=4,seq=8,vocab=32";
constexpr const char* kMlp = "mlp:in=16,hidden=32x32x32,out=10";

/// A model, a layout of it, and the file's nodes with that layout.
struct AnnotatedModel {
  AnnotatedModel(const char* source, int p, int t, SplitMode mode)
      : model(load_builtin(source, 1)),
        graph(training_graph(*model, 2)),
        stages(cut_stages(graph, p, {})),
        split(plan_split(graph, t, mode)),
        placement(p),
        plan(annotated(model->device_plan(), {graph, stages, split, placement})) {}

  CarriedPlan carried() const { return carried_plan(plan, plan.configurations.at(0)); }

  std::shared_ptr<const OnnxModel> model;
  Graph graph;
  std::vector<int> stages;
  SplitPlan split;
  Placement placement;
  DevicePlan plan;
};

void expect_same_plan(const AnnotatedModel& model, const char* source) {
  const CarriedPlan carried = model.carried();
  EXPECT_EQ(carried.t, model.split.size);
  ASSERT_EQ(carried.num_stages, model.placement.num_stages());
  EXPECT_EQ(planned_stages(model.graph, carried.num_stages, carried.stage_of), model.stages) << source;
  const SplitPlan split = plan_split(model.graph, carried.t, SplitMode::megatron, &carried.wishes);
  EXPECT_EQ(split.gathered, model.split.gathered) << source;
  EXPECT_TRUE(split.values == model.split.values) << source;
  for (std::size_t node = 0; node < split.chosen.size(); ++node) {
    EXPECT_EQ(split.chosen[node].inputs, model.split.chosen[node].inputs) << model.graph.nodes()[node].name;
    EXPECT_EQ(split.chosen[node].outputs, model.split.chosen[node].outputs) << model.graph.nodes()[node].name;
  }
}

TEST(PlanAnnotations, PartitionAsTheyWereMade) {
  for (const SplitMode mode : {SplitMode::megatron, SplitMode::gather}) {
    for (const auto& [p, t] : {std::pair{1, 2}, {2, 2}, {2, 4}, {3, 1}})
      expect_same_plan(AnnotatedModel(kGpt, p, t, mode), kGpt);
    for (const int t : {2, 3}) expect_same_plan(AnnotatedModel(kMlp, 1, t, mode), kMlp);
  }
}

TEST(PlanAnnotations, EndAStageBeforeANodeThatIsSeveral) {
  AnnotatedModel model(kMlp, 2, 1, SplitMode::megatron);
  const CarriedPlan carried = model.carried();
  const std::vector<int> stages = planned_stages(model.graph, 2, carried.stage_of);
  EXPECT_NE(stages, model.stages) << "the cut by cost is between two of the file's nodes: nothing is tested";
  const DecidedLayout layout{model.graph, stages, model.split, model.placement};
  const DevicePlan again = annotated(model.plan, layout);
  EXPECT_EQ(carried_plan(again, again.configurations.at(0)).stage_of, carried.stage_of);
}

TEST(PlanAnnotations, FollowPlacementsAtOtherBatchSizes) {
  const AnnotatedModel model(kGpt, 1, 2, SplitMode::megatron);
  const CarriedPlan carried = model.carried();
  const Graph larger = training_graph(*model.model, 6);
  const SplitPlan split = plan_split(larger, 2, SplitMode::megatron, &carried.wishes);
  EXPECT_EQ(split.num_divided, model.split.num_divided);
}

TEST(PlanAnnotations, NameTheDevicesOfAStage) {
  const AnnotatedModel model(kMlp, 2, 2, SplitMode::megatron);
  EXPECT_EQ(model.plan.configurations.at(0).num_devices, 4);
  for (const PlacedNode& node : model.plan.nodes) {
    const NodePlacement& placement = node.placements.at(0);
    for (const TensorPlacement& tensor : placement.tensors) {
      for (const auto& group : tensor.devices) {
        for (const std::int64_t device : group) EXPECT_EQ(device / 2, placement.stage.value()) << node.name;
      }
    }
  }
}

std::string carried_error(const DevicePlan& plan) {
  try {
    carried_plan(plan, plan.configurations.at(0));
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no error";
}

DevicePlan one_division(std::vector<ShardedDim> dims, std::vector<std::vector<std::int64_t>> devices) {
  NodePlacement placement{"c", 0, {{"x", std::move(devices), std::move(dims), false}}};
  return {{{"c", 4, {}}}, {{"n", {"x"}, {"y"}, {placement}}}};
}

TEST(PlanAnnotations, RefuseTwoDivisionsOfATensor) {
  const DevicePlan plan = one_division({{0, {{8, 2}}}, {1, {{8, 2}}}}, {{0}, {1}, {2}, {3}});
  EXPECT_NE(carried_error(plan).find("node 'n': 'x' is divided more than once"), std::string::npos);
}

TEST(PlanAnnotations, RefuseShardsThatAreNotThoseOfTheDevices) {
  EXPECT_NE(carried_error(one_division({{0, {{8, 2}}}}, {{0}})).find("2 shards on 1 devices"), std::string::npos);
}

TEST(PlanAnnotations, RefuseADivisionThatCannotRun) {
  const AnnotatedModel model(kMlp, 1, 2, SplitMode::gather);
  SplitWishes wishes;
  const std::string output = model.graph.value(model.graph.output).name;
  wishes.add({"n", {}, {output}, {{output, {Sharding::Kind::shard, 7}}}});
  EXPECT_THROW(plan_split(model.graph, 2, SplitMode::megatron, &wishes), ModelError);
}

TEST(PlanAnnotations, RefuseAStageThatComesAgain) {
  const AnnotatedModel model(kMlp, 2, 1, SplitMode::megatron);
  CarriedPlan carried = model.carried();
  carried.stage_of[model.graph.value(model.graph.output).name] = 0;
  EXPECT_THROW(planned_stages(model.graph, 2, carried.stage_of), ModelError);
}

}  // namespace
}  // namespace dml
