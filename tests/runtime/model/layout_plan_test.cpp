#include "runtime/model/layout_plan.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "models/onnx/proto.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

Config config_of(const std::string& model, int d, int p, int t) {
  Config config;
  config.model.source = model;
  config.layout.d = d;
  config.layout.p = p;
  config.layout.t = t;
  return config;
}

constexpr const char* kGpt = "gpt:layers=2,width=16,heads=2,seq=4,vocab=8";

TEST(LayoutPlan, MakesThePartitionsOfTraining) {
  LayoutPlan plan(config_of(kGpt, 2, 2, 2));
  for (int rank = 0; rank < plan.mesh().world_size(); ++rank) {
    ModelSource model(config_of(kGpt, 2, 2, 2).model, 0);
    model.set_label(likely_label(model, "auto"));
    const Partition expected = model.partition(plan.mesh(), rank, plan.options());
    const Partition planned = plan.partition(rank);
    ASSERT_EQ(planned.tasks.tasks.size(), expected.tasks.tasks.size());
    EXPECT_EQ(planned.tasks.deps, expected.tasks.deps);
    EXPECT_EQ(planned.summary.fingerprint, expected.summary.fingerprint);
    EXPECT_EQ(planned.layout.size, expected.layout.size);
  }
}

TEST(LayoutPlan, HasASampleForEveryMicrobatchOfEveryReplica) {
  Config config = config_of(kGpt, 5, 1, 1);
  EXPECT_EQ(LayoutPlan(config).options().batch, 16);
  config.layout.microbatches = 7;
  EXPECT_EQ(LayoutPlan(config).options().batch, 35);
  config.data.batch = 4;
  LayoutPlan too_small(config);
  EXPECT_THROW(too_small.partition(0), ModelError);
}

/// y = Strange(x·w) with an operation of another domain.
onnx::ModelProto strange_model() {
  onnx::ModelProto proto = make_proto("strange");
  onnx::GraphProto& graph = *proto.mutable_graph();
  add_input(graph, "x", DataType::f32, {{"batch", 0}, {"", 8}});
  add_output(graph, "y", DataType::f32, {{"batch", 0}, {"", 4}});
  add_node(graph, "MatMul", "/first/MatMul", {"x", "w"}, {"h"});
  add_node(graph, "Strange", "/second/Strange", {"h"}, {"y"}).set_domain("example.org");
  add_initializer(graph, "w", {8, 4}, std::vector<float>(32, 1));
  return proto;
}

TEST(LayoutPlan, LaysOutWhatCannotBeTrainedAsItsForwardPass) {
  const TemporaryFolder folder;
  const std::string path = folder.write("strange.onnx", strange_model().SerializeAsString());
  LayoutPlan plan(config_of(path, 1, 2, 1));
  EXPECT_EQ(plan.num_parameters(), 32);
  ASSERT_GE(plan.notes().size(), 2U);
  EXPECT_NE(plan.notes()[1].find("example.org.Strange (1)"), std::string::npos);
  int computed = 0;
  for (const int rank : {0, 1}) {
    for (const Task& task : plan.partition(rank).tasks.tasks) {
      if (task.node == kNone) continue;
      EXPECT_EQ(task.id.phase, Phase::forward);
      computed += task.id.microbatch == 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(computed, 2);
}

TEST(LayoutPlan, RefusesWhatIsWrongOtherwise) {
  const TemporaryFolder folder;
  EXPECT_THROW(LayoutPlan(config_of(folder.path("none.onnx"), 1, 1, 1)), IoError);
  EXPECT_THROW(LayoutPlan(config_of(folder.write("bad.onnx", "no model"), 1, 1, 1)), ModelError);
  EXPECT_THROW(LayoutPlan(config_of("gpt:layers=2,width=15,heads=2", 1, 1, 1)), ModelError);
}

}  // namespace
}  // namespace dml
