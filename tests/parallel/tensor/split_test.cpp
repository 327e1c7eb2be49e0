// A divided graph computes what the whole one does: every value, the loss and all gradients, for both modes.
#include "parallel/tensor/split.h"

#include <gtest/gtest.h>

#include "parallel/techniques/recomputation.h"
#include "parallel/techniques/sequence_parts.h"
#include "tests/parallel/tensor/lockstep.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {
namespace {

reference::Step some_step() {
  reference::Step step;
  step.state.loss_scale = 0.375F;
  step.state.seed = 11;
  step.state.step = 3;
  return step;
}

void expect_split_equals_whole(const Graph& graph, int size, SplitMode mode, unsigned seed) {
  const reference::Step step = some_step();
  const Values content = reference::evaluate_graph(graph, random_content(graph, seed), step);
  const Lockstep ranks(graph, plan_split(graph, size, mode), content, step);
  ranks.expect_equal();
}

void expect_split_equals_whole(const Graph& graph, unsigned seed = 7) {
  for (const SplitMode mode : {SplitMode::gather, SplitMode::megatron}) {
    for (const int size : {1, 2, 3, 4}) {
      expect_split_equals_whole(graph, size, mode, seed);
      ASSERT_FALSE(::testing::Test::HasFailure())
          << "t=" << size << (mode == SplitMode::gather ? " gather" : " megatron") << " seed " << seed;
    }
  }
}

TEST(Split, Mlp) { expect_split_equals_whole(zoo_graph("mlp:in=6,hidden=8x5,out=7", 3)); }
TEST(Split, MlpNarrowerThanRanks) { expect_split_equals_whole(zoo_graph("mlp:in=3,hidden=2x6,out=3", 3)); }
TEST(Split, GptWithSeparateProjections) {
  expect_split_equals_whole(zoo_graph("gpt:layers=2,width=12,heads=4,seq=5,vocab=11", 2));
}
TEST(Split, GptWithTiedHead) {
  expect_split_equals_whole(zoo_graph("gpt:layers=1,width=12,heads=3,seq=5,vocab=11,tied=1", 2));
}
TEST(Split, GptWithoutBias) {
  expect_split_equals_whole(zoo_graph("gpt:layers=1,width=8,heads=4,seq=4,vocab=6,bias=0", 1));
}
TEST(Split, GptWithFewHeads) { expect_split_equals_whole(zoo_graph("gpt:layers=1,width=10,heads=2,seq=4,vocab=9", 2)); }
TEST(Split, GptWithDropout) {
  expect_split_equals_whole(zoo_graph("gpt:layers=1,width=12,heads=3,seq=5,vocab=11,dropout=0.3", 2));
}
/// As sequence parallelism divides it; false where it divides nothing.
bool expect_sequence_equals_whole(const Graph& graph, int size) {
  const reference::Step step = some_step();
  SplitPlan plan = plan_split(graph, size, SplitMode::megatron);
  divide_sequence(plan, graph);
  Lockstep(graph, plan, reference::evaluate_graph(graph, random_content(graph, 5), step), step).expect_equal();
  return plan.by_sequence;
}

TEST(Split, ByPartsOfTheSequence) {
  for (const char* model :
       {"gpt:layers=2,width=12,heads=4,seq=5,vocab=11", "gpt:layers=1,width=12,heads=3,seq=5,vocab=11,tied=1",
        "gpt:layers=1,width=12,heads=3,seq=5,vocab=11,dropout=0.3",
        "gpt:layers=1,width=8,heads=4,seq=4,vocab=6,bias=0"}) {
    for (const int size : {2, 3, 4}) {
      const Graph graph = zoo_graph(model, 2);
      EXPECT_TRUE(expect_sequence_equals_whole(graph, size)) << model << " t=" << size;
      EXPECT_TRUE(expect_sequence_equals_whole(with_recomputation(graph, Recompute::full), size)) << model;
      ASSERT_FALSE(::testing::Test::HasFailure()) << model << " t=" << size;
    }
  }
}

// Of a sequence shorter than the ranks are many, and of what has no tokens.
TEST(Split, ByPartsOfTheSequenceWhereThereAreTooFew) {
  EXPECT_FALSE(expect_sequence_equals_whole(zoo_graph("gpt:layers=1,width=12,heads=4,seq=3,vocab=11", 2), 4));
  EXPECT_FALSE(expect_sequence_equals_whole(zoo_graph("mlp:in=6,hidden=8x5,out=7", 3), 2));
}

TEST(Split, Resnet) {
  const Graph graph = zoo_graph("resnet18:classes=5,width=3,size=8", 1);
  expect_split_equals_whole(graph, 2, SplitMode::megatron, 1);
  expect_split_equals_whole(graph, 3, SplitMode::gather, 2);
}
TEST(Split, EdgeGemm) { expect_split_equals_whole(fixture_graph("edge_gemm", 3, "mse")); }
TEST(Split, EdgeShared) { expect_split_equals_whole(fixture_graph("edge_shared", 3, "mse")); }
TEST(Split, EdgeMatMul) { expect_split_equals_whole(fixture_graph("edge_matmul", 2, "mse")); }
TEST(Split, EdgeEmbed) { expect_split_equals_whole(fixture_graph("edge_embed", 3)); }

TEST(Split, FusedProjectionsOfExporters) {
  const Graph graph = fixture_graph("edge_split.ts17", 1);
  expect_split_equals_whole(graph, 3, SplitMode::megatron, 5);
}

// Attention that the fusions don't know: products, softmax and moves stay apart.
Graph unfused_gpt(const std::string& source) {
  Graph graph = load_builtin(source, 1)->build({.batch = 2, .dims = {}, .ties = {}, .unties = {}});
  choose_trainable(graph, {}, {});
  return with_gradients(std::move(graph), "cross_entropy");
}

TEST(Split, GptBeforeFusion) { expect_split_equals_whole(unfused_gpt("gpt:layers=1,width=8,heads=4,seq=3,vocab=7")); }

TEST(Split, ConvolutionsAndBatchNorm) {
  SmallGraph g;
  const auto conv = [](std::int64_t stride) {
    return Attributes()
        .set("strides", std::vector<std::int64_t>{stride, stride})
        .set("pads", std::vector<std::int64_t>{1, 1, 1, 1})
        .set("dilations", std::vector<std::int64_t>{1, 1})
        .set("group", std::int64_t{1});
  };
  const ValueId x = g.input("x", {2, 3, 5, 5});
  const ValueId first = g.add("Conv", {x, g.parameter("w1", {7, 3, 3, 3}), g.parameter("b1", {7})}, conv(1));
  const ValueId mean = g.add_value("mean", {7}, Role::state);
  const ValueId variance = g.add_value("variance", {7}, Role::state);
  Node norm;
  norm.op = op("BatchNorm");
  norm.name = "norm";
  norm.attrs.set("epsilon", 1e-5).set("momentum", 0.9);
  norm.inputs = {first, g.parameter("scale", {7}), g.parameter("shift", {7}), mean, variance};
  const std::vector<std::string> names{"normed", "m", "r", "next_mean", "next_variance"};
  const NodeId node = g.graph.add_node(norm, names);
  const std::vector<ValueId> outputs = g.graph.node(node).outputs;
  g.graph.next_state = {{mean, outputs[3]}, {variance, outputs[4]}};
  const ValueId relu = g.add("Relu", {outputs[0]});
  const ValueId pooled = g.add("MaxPool", {relu},
                               Attributes()
                                   .set("kernel", std::vector<std::int64_t>{2, 2})
                                   .set("strides", std::vector<std::int64_t>{1, 1})
                                   .set("pads", std::vector<std::int64_t>{0, 0, 0, 0})
                                   .set("dilations", std::vector<std::int64_t>{1, 1}));
  const ValueId second = g.add("Conv", {pooled, g.parameter("w2", {4, 7, 3, 3})}, conv(2));
  g.graph.output = g.add("Reshape", {second}, Attributes().set("shape", std::vector<std::int64_t>{2, 16}));
  expect_split_equals_whole(with_gradients(std::move(g.graph), "mse"));
}

// Pieces of a projection, put together in another order: Slice, Concat, Split, and broadcasts on the way back.
TEST(Split, PiecesOfProjections) {
  SmallGraph g;
  const ValueId x = g.input("x", {2, 3, 4});
  const ValueId h = g.add("MatMul", {x, g.parameter("w", {4, 24}), g.parameter("b", {24})});
  const auto piece = [&](std::int64_t start) {
    return g.add("Slice", {h},
                 Attributes()
                     .set("axis", std::int64_t{2})
                     .set("start", start)
                     .set("end", start + 8)
                     .set("step", std::int64_t{1}));
  };
  const ValueId gated = g.add("Mul", {piece(0), g.add("Sigmoid", {piece(8)})});
  const ValueId both = g.add("Concat", {gated, piece(16)}, Attributes().set("axis", std::int64_t{2}));
  const ValueId scaled = g.add("Mul", {both, g.parameter("scale", {16})});
  g.graph.output = g.add("MatMul", {scaled, g.parameter("v", {16, 5})});
  expect_split_equals_whole(with_gradients(std::move(g.graph), "mse"));
}

/// Grows a graph by one random operation after another on values of rank 3.
class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : generator_(seed) {
    pool_.push_back(g_.input("x", {2, 3, 4}));
    for (int i = 0; i < 14; ++i) grow();
  }

  Graph graph() {
    ValueId sum = square_sum(pool_[0]);
    for (std::size_t i = 1; i < pool_.size(); ++i) sum = g_.add("Add", {sum, square_sum(pool_[i])});
    g_.graph.output = sum;
    return with_gradients(std::move(g_.graph), "mse");
  }

 private:
  using Ints = std::vector<std::int64_t>;
  ValueId square_sum(ValueId x) {
    return g_.add("ReduceSum", {g_.add("Mul", {x, x})},
                  Attributes().set("axes", Ints{0, 1, 2}).set("keepdims", std::int64_t{0}));
  }
  int below(int n) { return static_cast<int>(generator_() % static_cast<unsigned>(n)); }
  ValueId any() { return pool_[static_cast<std::size_t>(below(static_cast<int>(pool_.size())))]; }
  const Shape& shape(ValueId id) const { return g_.graph.shape(id); }
  std::string name() { return "p" + std::to_string(g_.graph.num_values()); }

  void grow() {
    const ValueId x = below(3) == 0 ? any() : pool_.back();
    const Shape s = shape(x);
    switch (below(14)) {
      case 0:
      case 1: return project(x, Ints{4, 6, 8, 12}[static_cast<std::size_t>(below(4))]);
      case 2: return keep(g_.add("Add", {x, g_.parameter(name(), {s.back()})}));
      case 3: return keep(g_.add(below(2) == 0 ? "Sigmoid" : "Tanh", {x}));
      case 4: return keep(g_.add("Softmax", {x}, Attributes().set("axis", std::int64_t{below(3)})));
      case 5: return keep(g_.transpose(x, below(2) == 0 ? Ints{0, 2, 1} : Ints{1, 0, 2}));
      case 6: return half(x);
      case 7: return pair(x);
      case 8: return heads(x);
      case 9: return keep(g_.add("Mul", {x, g_.parameter(name(), {1, s[1], 1})}));
      case 10: return norm(x);
      case 11:
        return keep(g_.add("MatMul", {g_.add("MatMul", {x, x}, Attributes().set("trans_b", std::int64_t{1})), x}));
      case 12: return keep(g_.add("Mul", {x, g_.add("ReduceMean", {x}, Attributes().set("axes", Ints{below(3)}))}));
      default: return thirds(x);
    }
  }

  void keep(ValueId id) { pool_.push_back(id); }

  void project(ValueId x, std::int64_t columns) {
    std::vector<ValueId> inputs{x, g_.parameter(name(), {shape(x).back(), columns})};
    if (below(2) == 0) inputs.push_back(g_.parameter(name() + "b", {columns}));
    keep(g_.add("MatMul", std::move(inputs)));
  }

  void half(ValueId x) {
    const int axis = below(3);
    const std::int64_t extent = shape(x)[axis];
    if (extent < 2) return;
    const std::int64_t start = below(2) * (extent / 2);
    keep(g_.add("Slice", {x},
                Attributes()
                    .set("axis", std::int64_t{axis})
                    .set("start", start)
                    .set("end", start + extent / 2)
                    .set("step", std::int64_t{1})));
  }

  void pair(ValueId x) {
    for (const ValueId other : pool_) {
      if (other == x || shape(other) != shape(x)) continue;
      static constexpr const char* kOps[] = {"Add", "Mul", "Sub"};
      const int choice = below(4);
      if (choice == 3) return keep(g_.add("Concat", {x, other}, Attributes().set("axis", std::int64_t{below(3)})));
      return keep(g_.add(kOps[choice], {x, other}));
    }
  }

  void heads(ValueId x) {
    const Shape s = shape(x);
    if (s.back() % 2 != 0) return;
    const ValueId apart = g_.transpose(g_.reshape(x, {s[0], s[1], 2, s[2] / 2}), {0, 2, 1, 3});
    const ValueId mixed = g_.add("Softmax", {apart}, Attributes().set("axis", std::int64_t{3}));
    keep(g_.reshape(g_.transpose(mixed, {0, 2, 1, 3}), {s[0], s[1], s[2]}));
  }

  void norm(ValueId x) {
    const std::int64_t width = shape(x).back();
    keep(g_.add("LayerNorm", {x, g_.parameter(name(), {width}), g_.parameter(name() + "b", {width})},
                Attributes().set("axis", std::int64_t{2}).set("epsilon", 1e-5)));
  }

  void thirds(ValueId x) {
    if (shape(x).back() % 3 != 0) return;
    const std::int64_t third = shape(x).back() / 3;
    Node node;
    node.op = op("Split");
    node.name = name();
    node.attrs.set("axis", std::int64_t{2}).set("sizes", Ints{third, third, third});
    node.inputs = {x};
    const std::vector<std::string> names{node.name + "a", node.name + "b", node.name + "c"};
    const NodeId id = g_.graph.add_node(node, names);
    const std::vector<ValueId> outputs = g_.graph.node(id).outputs;
    keep(g_.add("Add", {outputs[0], g_.add("Mul", {outputs[1], outputs[2]})}));
  }

  SmallGraph g_;
  std::vector<ValueId> pool_;
  std::mt19937 generator_;
};

TEST(Split, RandomGraphs) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    RandomGraph random(seed);
    const Graph graph = random.graph();
    if (graph.gradient_of.empty()) continue;
    expect_split_equals_whole(graph, seed);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace dml::test
