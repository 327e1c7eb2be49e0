// The form of the backward pass; tests/models/ops/gradient_test.cpp checks its numbers.
#include "models/autodiff.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "models/loss.h"
#include "tests/models/small_graph.h"

namespace dml {
namespace {

/// Appends a squared error on `output` and the backward pass.
void differentiate(SmallGraph& small, ValueId output) {
  small.graph.output = output;
  append_loss(small.graph, "mse", DataType::f32, small.graph.shape(output));
  append_backward(small.graph);
}

std::vector<const Node*> backward_nodes(const Graph& graph, std::string_view op) {
  std::vector<const Node*> found;
  for (const Node& node : graph.nodes()) {
    if (node.phase != Phase::forward && node.op->name == op) found.push_back(&node);
  }
  return found;
}

TEST(Autodiff, MatMulHasTwoMatMulsAndAliasesForRows) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 3, 4});
  const ValueId u = small.parameter("u", {4, 5});
  const ValueId w = small.parameter("w", {6, 5});
  const ValueId h = small.graph.add("MatMul", {x, u}, {}, "first");
  const ValueId y = small.graph.add("MatMul", {h, w}, Attributes().set("trans_b", std::int64_t{1}), "second");
  differentiate(small, y);
  const Graph& graph = small.graph;

  const auto products = backward_nodes(graph, "MatMul");
  ASSERT_EQ(products.size(), 3U);  // dh and dw of the second, du of the first; dx is not wanted
  EXPECT_EQ(products[0]->name, "second.dx");
  EXPECT_EQ(products[0]->phase, Phase::input_grad);
  EXPECT_EQ(products[0]->attrs.integer("trans_b"), 0);
  EXPECT_EQ(graph.node(products[0]->forward).name, "second");
  EXPECT_EQ(products[1]->phase, Phase::weight_grad);
  EXPECT_EQ(graph.gradient_of.at(w), products[1]->outputs[0]);
  EXPECT_EQ(graph.shape(products[1]->inputs[0]), (Shape{6, 6}));  // dy as [rows, N], first: w is stored transposed
  EXPECT_EQ(graph.shape(products[1]->inputs[1]), (Shape{6, 5}));
  EXPECT_EQ(graph.gradient_of.at(u), products[2]->outputs[0]);
  EXPECT_EQ(backward_nodes(graph, "SumTo").size(), 0U);
  EXPECT_EQ(backward_nodes(graph, "Transpose").size(), 0U);
}

TEST(Autodiff, SumsContributionsOfLaterConsumersFirst) {
  SmallGraph small;
  const ValueId w = small.parameter("w", {4});
  const ValueId x = small.input("x", {4});
  const ValueId a = small.graph.add("Mul", {x, w}, {}, "a");
  const ValueId b = small.graph.add("Mul", {a, w}, {}, "b");
  const ValueId c = small.graph.add("Mul", {b, w}, {}, "c");
  differentiate(small, c);
  const Graph& graph = small.graph;
  const Node& last = producer_of(graph, graph.gradient_of.at(w));
  EXPECT_EQ(last.phase, Phase::weight_grad);
  const Node& first = producer_of(graph, last.inputs[0]);
  EXPECT_EQ(graph.node(producer_of(graph, first.inputs[0]).forward).name, "c");
  EXPECT_EQ(graph.node(producer_of(graph, first.inputs[1]).forward).name, "b");
  EXPECT_EQ(graph.node(producer_of(graph, last.inputs[1]).forward).name, "a");
}

TEST(Autodiff, PutsWhatLeadsToWeightsAloneIntoTheWeightPhase) {
  SmallGraph small;
  const ValueId x = small.input("x", {3, 4});
  const ValueId w = small.parameter("w", {4, 4});
  const ValueId bias = small.parameter("bias", {4});
  const ValueId weight = small.add("Tanh", {small.transpose(w, {1, 0})});
  const ValueId y = small.add("Add", {small.add("MatMul", {x, weight}), bias});
  differentiate(small, y);
  for (const auto& [parameter, gradient] : small.graph.gradient_of) {
    EXPECT_EQ(producer_of(small.graph, gradient).phase, Phase::weight_grad);
  }
  EXPECT_EQ(backward_nodes(small.graph, "TanhGrad").at(0)->phase, Phase::weight_grad);
  EXPECT_EQ(backward_nodes(small.graph, "SumTo").at(0)->phase, Phase::weight_grad);
}

TEST(Autodiff, GivesNoTwoParametersOneValue) {
  SmallGraph small;
  const ValueId a = small.parameter("a", {4});
  const ValueId b = small.parameter("b", {4});
  differentiate(small, small.add("Add", {a, b}));
  EXPECT_NE(small.graph.gradient_of.at(a), small.graph.gradient_of.at(b));
}

TEST(Autodiff, LeavesOutWhatNobodyNeeds) {
  SmallGraph small;
  const ValueId x = small.input("x", {3, 4});
  const ValueId unread = small.parameter("unread", {4});
  const ValueId frozen = small.constant({4, 4}, std::vector<float>(16, 1));
  const ValueId h = small.add("Tanh", {small.add("MatMul", {x, frozen})});
  differentiate(small, small.add("MatMul", {h, small.parameter("w", {4, 2})}));
  EXPECT_EQ(small.graph.gradient_of.size(), 1U);
  EXPECT_EQ(small.graph.gradient_of.count(unread), 0U);
  EXPECT_EQ(backward_nodes(small.graph, "TanhGrad").size(), 0U);
}

TEST(Autodiff, RefusesAMaskThatDependsOnAWeight) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 3, 4});
  const ValueId mask = small.parameter("mask", {1, 1, 3, 3});
  const ValueId o = small.add("Attention", {x, x, x, mask}, Attributes().set("heads", std::int64_t{2}));
  EXPECT_THROW(differentiate(small, o), ModelError);
}

}  // namespace
}  // namespace dml
