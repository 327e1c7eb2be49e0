// What exporters do to weights that are to be trained, and the options that undo it.
#include <algorithm>

#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

bool any_note(const OnnxModel& model, const std::string& part) {
  const auto notes = model.notes();
  return std::any_of(notes.begin(), notes.end(), [&](const auto& n) { return n.find(part) != std::string::npos; });
}

int count_parameters(const Graph& graph, const std::string& prefix) {
  return static_cast<int>(std::count_if(graph.values().begin(), graph.values().end(), [&](const Value& value) {
    return value.role == Role::parameter && value.name.starts_with(prefix);
  }));
}

TEST(OnnxTies, AreNoticed) {
  const auto split = OnnxModel::load(fixture("edge_split.ts17.onnx"));
  EXPECT_TRUE(any_note(*split, "--tie 'tok.weight=onnx::MatMul_327'"));
  EXPECT_EQ(split->notes().size(), 1U);
  const auto merged = OnnxModel::load(fixture("edge_merged.dynamo.onnx"));
  EXPECT_TRUE(any_note(*merged, "--untie 'blocks.0.ln1.weight'"));
  EXPECT_TRUE(any_note(*merged, "--untie 'blocks.0.ln1.bias'"));
  EXPECT_TRUE(OnnxModel::load(fixture("gpt_tiny.ts17.onnx"))->notes().empty());
  EXPECT_TRUE(OnnxModel::load(fixture("resnet_tiny.ts17.onnx"))->notes().empty());
}

TEST(OnnxTies, MakeOneParameterOfTwo) {
  const auto model = OnnxModel::load(fixture("edge_split.ts17.onnx"));
  const Graph tied = model->build({.batch = 2, .dims = {}, .ties = {{"tok.weight", "onnx::MatMul_327"}}, .unties = {}});
  EXPECT_EQ(tied.find_value("onnx::MatMul_327"), kNone);
  const ValueId weight = tied.find_value("tok.weight");
  const Consumers consumers = tied.consumers();
  const std::span<const NodeId> readers = consumers[weight];
  ASSERT_EQ(readers.size(), 2U);
  EXPECT_EQ(tied.node(readers[0]).op->name, "Transpose");
  EXPECT_EQ(tied.shape(tied.output), (Shape{2, 16, 128}));
}

TEST(OnnxTies, WantEqualValues) {
  const auto model = OnnxModel::load(fixture("edge_split.ts17.onnx"));
  const auto error = [&](const std::string& a, const std::string& b) {
    return error_of([&] { model->build({.batch = 2, .dims = {}, .ties = {{a, b}}, .unties = {}}); });
  };
  EXPECT_NE(error("tok.weight", "onnx::MatMul_326").find("neither those of"), std::string::npos);
  EXPECT_NE(error("tok.weight", "nothing").find("no initializer 'nothing'"), std::string::npos);
  EXPECT_NE(error("tok.weight", "onnx::Where_284").find("is no float tensor"), std::string::npos);
  EXPECT_NE(error("tok.weight", "tok.weight").find("the same initializer"), std::string::npos);
}

TEST(OnnxTies, CanBeUndone) {
  const auto model = OnnxModel::load(fixture("edge_merged.dynamo.onnx"));
  EXPECT_EQ(count_parameters(model->build({}), "blocks.0.ln1.weight"), 1);
  const Graph graph =
      model->build({.batch = 2, .dims = {}, .ties = {}, .unties = {"blocks.0.ln1.weight", "blocks.0.ln1.bias"}});
  EXPECT_EQ(count_parameters(graph, "blocks.0.ln1.weight"), 5);
  EXPECT_NE(graph.find_value("blocks.0.ln1.bias#4"), kNone);
  const Value& second = graph.value(graph.find_value("blocks.0.ln1.weight#1"));
  EXPECT_EQ(elements_of(*second.source), elements_of(*model->find_initializer("blocks.0.ln1.weight")->source));
}

}  // namespace
}  // namespace dml::test
