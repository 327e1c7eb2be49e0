#include "models/loss.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/models/small_graph.h"

namespace dml {
namespace {

SmallGraph with_output(const Shape& shape) {
  SmallGraph small;
  small.graph.output = small.add("Relu", {small.input("x", shape)});
  return small;
}

const Node& loss_node(const Graph& graph) { return producer_of(graph, graph.loss); }

TEST(Loss, IsCrossEntropyForIntegerLabels) {
  SmallGraph small = with_output({2, 3, 7});
  append_loss(small.graph, "auto", DataType::i32, {2, 3});
  EXPECT_EQ(loss_node(small.graph).op->name, "CrossEntropy");
  const Value& label = small.graph.value(small.graph.label);
  EXPECT_EQ(label.name, "label");
  EXPECT_EQ(label.role, Role::label);
  EXPECT_EQ(label.dtype, DataType::i64);
  EXPECT_EQ(label.shape, (Shape{2, 3}));
  EXPECT_EQ(small.graph.shape(small.graph.loss), Shape{});
}

TEST(Loss, TakesClassesOfImagesFromDimOne) {
  SmallGraph small = with_output({2, 7, 4, 5});
  append_loss(small.graph, "cross_entropy", DataType::i64, {2, 4, 5});
  EXPECT_EQ(small.graph.shape(loss_node(small.graph).inputs[0]), (Shape{2, 4, 5, 7}));
}

TEST(Loss, IsSquaredErrorForFloatTargets) {
  SmallGraph small = with_output({4, 1});
  append_loss(small.graph, "auto", DataType::f64, {4});
  EXPECT_EQ(loss_node(small.graph).op->name, "MeanSquaredError");
  EXPECT_EQ(small.graph.value(small.graph.label).dtype, DataType::f32);
  EXPECT_EQ(small.graph.shape(small.graph.label), Shape{4});
}

TEST(Loss, OfAScalarOutputIsTheOutput) {
  SmallGraph small = with_output({1});
  append_loss(small.graph, "auto", DataType::i64, {4});
  EXPECT_EQ(loss_node(small.graph).op->name, "WeightedLoss");
  EXPECT_EQ(small.graph.label, kNone);
}

TEST(Loss, RefusesLabelsThatDoNotFit) {
  SmallGraph small = with_output({2, 7});
  EXPECT_THROW(append_loss(small.graph, "auto", DataType::i64, {3}), ModelError);
  EXPECT_THROW(append_loss(small.graph, "cross_entropy", DataType::f32, {2}), ModelError);
  EXPECT_THROW(append_loss(small.graph, "mse", DataType::f32, {2, 6}), ModelError);
  EXPECT_THROW(append_loss(small.graph, "hinge", DataType::f32, {2, 7}), std::invalid_argument);
}

}  // namespace
}  // namespace dml
