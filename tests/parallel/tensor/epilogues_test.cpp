// What becomes a part of a product's node, and what stays apart. That the values stay what they are is proven on random
// graphs by split_test.cpp.
#include "parallel/tensor/epilogues.h"

#include <gtest/gtest.h>

#include "models/index.h"
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

}  // namespace
}  // namespace dml::test
