// What becomes a part of a product's node, and what stays apart. That the values stay what they are is proven on random
// graphs by split_test.cpp.
#include "parallel/tensor/epilogues.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/index.h"
#include "tests/parallel/tensor/lockstep.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

SplitGraph undivided(const Graph& graph) {
  return split_graph(graph, plan_split(graph, 1, SplitMode::megatron), {0, 1});
}

int num_biased(const Graph& graph) {
  return static_cast<int>(std::ranges::count_if(
      graph.nodes(), [](const Node& node) { return node.op->name == "MatMul" && node.inputs.size() == 3; }));
}

/// y = x w + b.
struct Layer {
  SmallGraph g;
  ValueId x, w, b;
  ValueId product = kNone, sum = kNone;

  explicit Layer(const Shape& bias = {4}, const Attributes& attrs = {})
      : x(g.input("x", {2, 3, 5})), w(g.parameter("w", {5, 4})), b(g.parameter("b", bias)) {
    product = g.graph.add("MatMul", {x, w}, attrs, "product");
  }
  /// The graph with epilogues; its output is the sum.
  SplitGraph finish(std::vector<ValueId> terms) {
    sum = g.graph.add("Add", std::move(terms), {}, "sum");
    g.graph.output = sum;
    return with_epilogues(undivided(g.graph), {});
  }
};

TEST(Epilogues, ABiasIsAddedByTheProduct) {
  for (const bool bias_first : {false, true}) {
    Layer layer;
    const SplitGraph split =
        layer.finish(bias_first ? std::vector{layer.b, layer.product} : std::vector{layer.product, layer.b});
    ASSERT_EQ(split.graph.num_nodes(), 1);
    const Node& node = split.graph.node(0);
    EXPECT_EQ(node.name, "product");
    EXPECT_EQ(node.inputs, (std::vector{layer.x, layer.w, layer.b}));
    EXPECT_EQ(node.outputs, std::vector{layer.sum});
    EXPECT_EQ(split.graph.output, layer.sum);
    EXPECT_EQ(split.graph.value(layer.sum).producer, 0);
    EXPECT_EQ(split.graph.value(layer.product).producer, kNone);
    EXPECT_EQ(split.origin, std::vector{0});
  }
}

TEST(Epilogues, WhatIsNoBiasStaysApart) {
  for (const Shape& shape : {Shape{1}, Shape{3, 4}, Shape{1, 4}, Shape{}}) {
    Layer layer(shape);
    EXPECT_EQ(layer.finish({layer.product, layer.b}).graph.num_nodes(), 2) << shape.to_string();
  }
  Layer scaled({4}, Attributes().set("alpha", 0.5));
  EXPECT_EQ(scaled.finish({scaled.product, scaled.b}).graph.num_nodes(), 2);
  Layer typed;
  typed.g.graph.add("Add", {typed.product, typed.b}, {}, "sum");
  typed.g.graph.value(typed.b).dtype = DataType::bf16;
  EXPECT_EQ(num_biased(with_epilogues(undivided(typed.g.graph), {}).graph), 0);
}

TEST(Epilogues, AProductThatOthersReadStaysApart) {
  Layer read;
  read.g.add("Relu", {read.product});
  EXPECT_EQ(num_biased(read.finish({read.product, read.b}).graph), 0);
  Layer result;
  result.g.graph.add("Add", {result.product, result.b}, {}, "sum");
  result.g.graph.output = result.product;
  EXPECT_EQ(num_biased(with_epilogues(undivided(result.g.graph), {}).graph), 0);
}

TEST(Epilogues, AStageMayEndBeforeTheBias) {
  Layer layer;
  layer.g.graph.output = layer.g.graph.add("Add", {layer.product, layer.b}, {}, "sum");
  const SplitGraph split = undivided(layer.g.graph);
  EXPECT_EQ(with_epilogues(split, std::vector{0, 1}).graph.num_nodes(), 2);
  EXPECT_EQ(with_epilogues(split, std::vector{1, 1}).graph.num_nodes(), 1);
}

TEST(Epilogues, AProductThatIsSummedOverRanksStaysApart) {
  const Graph whole = zoo_graph("gpt:layers=2,width=12,heads=3,seq=4,vocab=7", 2);
  const SplitGraph alone = with_epilogues(undivided(whole), {});
  EXPECT_EQ(num_biased(alone.graph), 12);  // of each layer: query, key, value, attention out, MLP up and down
  const SplitPlan plan = plan_split(whole, 3, SplitMode::megatron);
  EXPECT_EQ(num_biased(with_epilogues(split_graph(whole, plan, {1, 3}), {}).graph), 8);
}

/// Loss of gelu(x w + b) v, with w and v stored transposed or not.
Graph mlp(bool transposed, const char* form) {
  SmallGraph g;
  const ValueId x = g.input("x", {2, 3, 5});
  const auto attrs = transposed ? Attributes().set("trans_b", std::int64_t{1}) : Attributes();
  const Shape wide = transposed ? Shape{8, 5} : Shape{5, 8};
  const Shape down = transposed ? Shape{4, 8} : Shape{8, 4};
  const ValueId pre = g.add("Add", {g.add("MatMul", {x, g.parameter("w", wide)}, attrs), g.parameter("b", {8})});
  const ValueId h = g.add("Gelu", {pre}, Attributes().set("approximate", std::string(form)));
  g.graph.output = g.add("Add", {g.add("MatMul", {h, g.parameter("v", down)}, attrs), g.parameter("c", {4})});
  return with_gradients(std::move(g.graph), "mse");
}

int count(const Graph& graph, std::string_view operation) {
  return static_cast<int>(
      std::ranges::count_if(graph.nodes(), [&](const Node& node) { return node.op->name == operation; }));
}

TEST(Epilogues, GradientsOfAWeightAndItsBiasAreOneNode) {
  for (const bool transposed : {false, true}) {
    const Graph whole = mlp(transposed, "none");
    const Graph graph = with_epilogues(undivided(whole), {}).graph;
    EXPECT_EQ(count(graph, "LinearParamGrad"), 2);
    EXPECT_EQ(count(graph, "SumTo"), 0);
    for (const auto& [parameter, gradient] : graph.gradient_of) {
      const Node& node = graph.node(graph.value(gradient).producer);
      EXPECT_EQ(node.op->name, "LinearParamGrad") << graph.value(parameter).name;
      EXPECT_EQ(node.attrs.integer("trans_b") != 0, transposed);
    }
  }
}

TEST(Epilogues, GeluByTanhIsComputedByTheProductsBesideIt) {
  for (const bool transposed : {false, true}) {
    const Graph graph = with_epilogues(undivided(mlp(transposed, "tanh")), {}).graph;
    EXPECT_EQ(count(graph, "LinearGelu"), 1);
    EXPECT_EQ(count(graph, "LinearGeluGrad"), 1);
    EXPECT_EQ(count(graph, "Gelu") + count(graph, "GeluGrad"), 0);
  }
  const Graph by_erf = with_epilogues(undivided(mlp(false, "none")), {}).graph;
  EXPECT_EQ(count(by_erf, "Gelu") + count(by_erf, "GeluGrad"), 2);
}

TEST(Epilogues, GradientsNameTheForwardNodeThatTheyDifferentiate) {
  const Graph graph = with_epilogues(undivided(mlp(false, "tanh")), {}).graph;
  std::map<std::string, std::string> forward_of;
  for (const Node& node : graph.nodes()) {
    if (node.forward != kNone) forward_of[std::string(node.op->name)] = graph.node(node.forward).op->name;
  }
  EXPECT_EQ(forward_of.at("MeanSquaredErrorGrad"), "MeanSquaredError");
  EXPECT_EQ(forward_of.at("LinearGeluGrad"), "MatMul");
  EXPECT_EQ(forward_of.at("LinearParamGrad"), "LinearGelu");
}

// Values of all nodes, of graphs that split_test.cpp does not make.
TEST(Epilogues, ComputeWhatTheGraphSays) {
  for (const bool transposed : {false, true}) {
    const Graph whole = mlp(transposed, "tanh");
    const reference::Step step;
    const Values content = reference::evaluate_graph(whole, random_content(whole, 7), step);
    for (const SplitMode mode : {SplitMode::gather, SplitMode::megatron}) {
      for (const int size : {1, 2, 3}) Lockstep(whole, plan_split(whole, size, mode), content, step).expect_equal();
    }
  }
}

}  // namespace
}  // namespace dml::test
