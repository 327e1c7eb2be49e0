// Fusions on small graphs: what is found, and that the meaning stays.
#include "models/rewrite/fuse.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "tests/models/small_graph.h"
#include "tests/reference/graph_evaluator.h"

namespace dml {
namespace {

using reference::Tensor64;
using reference::Values;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Attributes axis(std::int64_t dim) { return Attributes().set("axis", dim); }

Values random_inputs(const Graph& graph) {
  std::mt19937 generator(5);
  std::uniform_real_distribution<double> real(-2, 2);
  Values values;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const Value& value = graph.value(id);
    if (value.producer != kNone || value.source != nullptr) continue;
    Tensor64 tensor = Tensor64::zeros(value.shape);
    for (double& element : tensor.elements) element = real(generator);
    values[id] = tensor;
  }
  return values;
}

/// Fuses and expects that the output has the elements that it had. Constants of the pattern are float: 1e-6.
void fuse_and_compare(Graph& graph) {
  const Values given = random_inputs(graph);
  const Tensor64 before = reference::evaluate_graph(graph, given).at(graph.output);
  fuse(graph);
  const Tensor64 after = reference::evaluate_graph(graph, given).at(graph.output);
  ASSERT_EQ(before.shape, after.shape);
  for (std::size_t i = 0; i < before.elements.size(); ++i) {
    ASSERT_NEAR(before.elements[i], after.elements[i], 1e-6 + 1e-6 * std::abs(before.elements[i])) << "at " << i;
  }
}

struct GeluCase {
  std::string name;
  std::function<ValueId(SmallGraph&, ValueId)> build;
  std::string form;  ///< empty: must not be found
};

void PrintTo(const GeluCase& row, std::ostream* out) { *out << row.name; }

class FuseGelu : public testing::TestWithParam<GeluCase> {};

TEST_P(FuseGelu, FindsEverySpelling) {
  SmallGraph small;
  const ValueId x = small.input("x", {3, 5});
  small.graph.output = GetParam().build(small, x);
  fuse_and_compare(small.graph);
  if (GetParam().form.empty()) {
    EXPECT_EQ(count_of(small.graph, "Gelu"), 0);
    return;
  }
  ASSERT_EQ(small.graph.num_nodes(), 1);
  EXPECT_EQ(only(small.graph, "Gelu").attrs.text("approximate"), GetParam().form);
  EXPECT_EQ(only(small.graph, "Gelu").inputs[0], x);
}

/// 1 + erf(x / sqrt 2)
ValueId erf_gate(SmallGraph& g, ValueId x) {
  return g.add("Add", {g.add("Erf", {g.add("Div", {x, g.constant(1.41421354F)})}), g.constant(1)});
}

/// 1 + tanh(sqrt(2/pi) inner)
ValueId tanh_gate(SmallGraph& g, ValueId inner) {
  return g.add("Add", {g.constant(1), g.add("Tanh", {g.add("Mul", {g.constant(0.797884583F), inner})})});
}

ValueId cubic_by_products(SmallGraph& g, ValueId x) {
  const ValueId cube = g.add("Mul", {x, g.add("Mul", {x, x})});
  return g.add("Add", {x, g.add("Mul", {g.constant(0.044715F), cube})});
}

ValueId cubic_by_power(SmallGraph& g, ValueId x) {
  const ValueId cube = g.add("Pow", {x, g.constant(3)});
  return g.add("Add", {g.add("Mul", {cube, g.constant(0.044715F)}), x});
}

std::vector<GeluCase> gelu_cases() {
  return {
      {"erf_half_last",
       [](SmallGraph& g, ValueId x) {
         return g.add("Mul", {g.add("Mul", {x, erf_gate(g, x)}), g.constant({1}, {0.5F})});
       },
       "none"},
      {"erf_half_first",
       [](SmallGraph& g, ValueId x) {
         return g.add("Mul", {g.add("Mul", {x, g.constant(0.5F)}), erf_gate(g, x)});
       },
       "none"},
      {"erf_divided_by_two",
       [](SmallGraph& g, ValueId x) {
         const ValueId gate = g.add("Erf", {g.add("Mul", {g.constant(0.707106769F), x})});
         return g.add("Mul", {g.add("Div", {g.add("Add", {g.constant(1), gate}), g.constant(2)}), x});
       },
       "none"},
      {"tanh_products",
       [](SmallGraph& g, ValueId x) {
         return g.add("Mul", {g.constant(0.5F), g.add("Mul", {x, tanh_gate(g, cubic_by_products(g, x))})});
       },
       "tanh"},
      {"tanh_power",
       [](SmallGraph& g, ValueId x) {
         return g.add("Mul", {g.add("Mul", {g.constant(0.5F), x}), tanh_gate(g, cubic_by_power(g, x))});
       },
       "tanh"},
      {"tanh_factored",
       [](SmallGraph& g, ValueId x) {
         const ValueId square = g.add("Mul", {g.constant(0.044715F), g.add("Pow", {x, g.constant(2)})});
         const ValueId inner = g.add("Mul", {x, g.add("Add", {square, g.constant(1)})});
         return g.add("Mul", {g.add("Mul", {g.constant(0.5F), x}), tanh_gate(g, inner)});
       },
       "tanh"},
      {"another_constant",
       [](SmallGraph& g, ValueId x) {
         return g.add("Mul", {g.add("Mul", {x, erf_gate(g, x)}), g.constant(0.25F)});
       },
       ""},
      {"another_argument",
       [](SmallGraph& g, ValueId x) {
         const ValueId gate = erf_gate(g, g.add("Neg", {x}));
         return g.add("Mul", {g.add("Mul", {x, gate}), g.constant(0.5F)});
       },
       ""},
      {"wider_constant",
       [](SmallGraph& g, ValueId x) {
         return g.add("Mul", {g.add("Mul", {x, erf_gate(g, x)}), g.constant({2, 1, 1}, {0.5F, 0.5F})});
       },
       ""},
  };
}

INSTANTIATE_TEST_SUITE_P(Spellings, FuseGelu, testing::ValuesIn(gelu_cases()),
                         [](const auto& info) { return info.param.name; });

constexpr std::int64_t kBatch = 2, kLength = 3, kHeads = 2, kWidth = 4, kChannels = kHeads * kWidth;

ValueId split_heads(SmallGraph& g, ValueId x, std::vector<std::int64_t> perm = {0, 2, 1, 3}) {
  return g.transpose(g.reshape(x, {kBatch, kLength, kHeads, kWidth}), std::move(perm));
}

ValueId merge_heads(SmallGraph& g, ValueId o) {
  return g.reshape(g.transpose(o, {0, 2, 1, 3}), {kBatch, kLength, kChannels});
}

std::vector<float> causal(float allowed, float masked) {
  std::vector<float> elements;
  for (std::int64_t row = 0; row < kLength; ++row) {
    for (std::int64_t column = 0; column < kLength; ++column) elements.push_back(column > row ? masked : allowed);
  }
  return elements;
}

ValueId causal_condition(SmallGraph& g, bool is_allowed) {
  const auto pattern = causal(is_allowed ? 1 : 0, is_allowed ? 0 : 1);
  return g.booleans({1, 1, kLength, kLength}, {pattern.begin(), pattern.end()});
}

struct AttentionCase {
  std::string name;
  std::function<ValueId(SmallGraph&, ValueId q, ValueId k, ValueId v)> build;
  double scale = 1;
  bool is_causal = false;
  bool has_mask = false;
};

void PrintTo(const AttentionCase& row, std::ostream* out) { *out << row.name; }

class FuseAttention : public testing::TestWithParam<AttentionCase> {
 protected:
  static void expect_attributes(const Node& node) {
    EXPECT_EQ(node.attrs.integer("heads"), kHeads);
    EXPECT_NEAR(node.attrs.real("scale"), GetParam().scale, 1e-7);
    EXPECT_EQ(node.attrs.integer("causal") != 0, GetParam().is_causal);
  }
};

TEST_P(FuseAttention, FindsEverySpelling) {
  SmallGraph small;
  const Shape shape{kBatch, kLength, kChannels};
  const ValueId q = small.input("q", shape);
  const ValueId k = small.input("k", shape);
  const ValueId v = small.input("v", shape);
  small.graph.output = GetParam().build(small, q, k, v);
  fuse_and_compare(small.graph);
  ASSERT_EQ(small.graph.num_nodes(), 1);
  const Node& node = only(small.graph, "Attention");
  expect_attributes(node);
  EXPECT_EQ(node.inputs.size(), GetParam().has_mask ? 4U : 3U);
}

TEST_P(FuseAttention, FindsPackedThirds) {
  SmallGraph small;
  const ValueId qkv = small.input("qkv", {kBatch, kLength, 3 * kChannels});
  const ValueId q =
      small.add("Split", {qkv}, axis(2).set("sizes", std::vector<std::int64_t>{kChannels, kChannels, kChannels}));
  const std::vector<ValueId> parts = producer_of(small.graph, q).outputs;
  small.graph.output = GetParam().build(small, parts[0], parts[1], parts[2]);
  fuse_and_compare(small.graph);
  ASSERT_EQ(small.graph.num_nodes(), 1);
  const Node& node = only(small.graph, "PackedAttention");
  expect_attributes(node);
  EXPECT_EQ(node.inputs[0], qkv);
}

ValueId finish(SmallGraph& g, ValueId scores, ValueId v) {
  return merge_heads(g, g.add("MatMul", {g.add("Softmax", {scores}, axis(-1)), split_heads(g, v)}));
}

std::vector<AttentionCase> attention_cases() {
  return {
      {"where_masked_fill",
       [](SmallGraph& g, ValueId q, ValueId k, ValueId v) {
         const ValueId scores = g.add("MatMul", {split_heads(g, q), split_heads(g, k, {0, 2, 3, 1})});
         const ValueId scaled = g.add("Mul", {scores, g.constant(0.5F)});
         return finish(g, g.add("Where", {causal_condition(g, false), g.constant(-kInfinity), scaled}), v);
       },
       0.5, true},
      {"where_allowed_finite_fill",
       [](SmallGraph& g, ValueId q, ValueId k, ValueId v) {
         const ValueId scores = g.add("MatMul", {split_heads(g, q), split_heads(g, k, {0, 2, 3, 1})});
         const ValueId scaled = g.add("Div", {scores, g.constant(2)});
         return finish(g, g.add("Where", {causal_condition(g, true), scaled, g.constant(-3e38F)}), v);
       },
       0.5, true},
      {"both_operands_scaled_and_mask_added",
       [](SmallGraph& g, ValueId q, ValueId k, ValueId v) {
         const ValueId root = g.constant({1}, {std::sqrt(0.5F)});
         const ValueId kt =
             g.transpose(g.transpose(g.reshape(k, {kBatch, kLength, kHeads, kWidth}), {0, 2, 1, 3}), {0, 1, 3, 2});
         const ValueId scores = g.add("MatMul", {g.add("Mul", {split_heads(g, q), root}), g.add("Mul", {kt, root})});
         return finish(g, g.add("Add", {scores, g.constant({kLength, kLength}, causal(0, -kInfinity))}), v);
       },
       0.5, true},
      {"keys_by_way_of_rank_three",
       [](SmallGraph& g, ValueId q, ValueId k, ValueId v) {
         const ValueId flat = g.reshape(split_heads(g, k), {kBatch * kHeads, kLength, kWidth});
         const ValueId kt = g.reshape(g.transpose(flat, {0, 2, 1}), {kBatch, kHeads, kWidth, kLength});
         return finish(g, g.add("MatMul", {split_heads(g, q), kt}), v);
       }},
      {"rank_three_products",
       [](SmallGraph& g, ValueId q, ValueId k, ValueId v) {
         const auto flat = [&](ValueId x) { return g.reshape(split_heads(g, x), {kBatch * kHeads, kLength, kWidth}); };
         const ValueId scores = g.add("MatMul", {flat(q), g.transpose(flat(k), {0, 2, 1})});
         const ValueId o = g.add("MatMul", {g.add("Softmax", {scores}, axis(2)), flat(v)});
         return merge_heads(g, g.reshape(o, {kBatch, kHeads, kLength, kWidth}));
       }},
      {"given_mask",
       [](SmallGraph& g, ValueId q, ValueId k, ValueId v) {
         const auto attrs = Attributes().set("trans_b", std::int64_t{1}).set("alpha", 0.25);
         const ValueId scores = g.add("MatMul", {split_heads(g, q), split_heads(g, k)}, attrs);
         const ValueId mask = g.constant({kHeads, 1, kLength}, {0, -1, -kInfinity, 0.5F, 0, 0});
         return finish(g, g.add("Add", {mask, scores}), v);
       },
       0.25, false, true},
  };
}

INSTANTIATE_TEST_SUITE_P(Spellings, FuseAttention, testing::ValuesIn(attention_cases()),
                         [](const auto& info) { return info.param.name; });

/// The plain pattern with one thing changed by `change` behind the scores.
Graph with_changed_scores(const std::function<ValueId(SmallGraph&, ValueId)>& change) {
  SmallGraph small;
  const Shape shape{kBatch, kLength, kChannels};
  const ValueId q = small.input("q", shape);
  const ValueId k = small.input("k", shape);
  const ValueId scores = small.add("MatMul", {split_heads(small, q), split_heads(small, k, {0, 2, 3, 1})});
  small.graph.output = finish(small, change(small, scores), small.input("v", shape));
  fuse_and_compare(small.graph);
  return small.graph;
}

TEST(FuseAttentionNot, WhereTheScaleMayTrain) {
  const Graph graph = with_changed_scores([](SmallGraph& g, ValueId scores) {
    return g.add("Mul", {scores, g.parameter("scale", {}, {0.5F})});
  });
  EXPECT_EQ(count_of(graph, "Attention"), 0);
}

TEST(FuseAttentionNot, WhereAFillIsNotVeryNegative) {
  const Graph graph = with_changed_scores([](SmallGraph& g, ValueId scores) {
    return g.add("Where", {causal_condition(g, true), scores, g.constant(-5)});
  });
  EXPECT_EQ(count_of(graph, "Attention"), 0);
}

TEST(FuseAttentionNot, WhereAMaskIsScaled) {
  const Graph graph = with_changed_scores([](SmallGraph& g, ValueId scores) {
    const ValueId masked = g.add("Add", {scores, g.constant({1, kLength}, {0, -1, -2})});
    return g.add("Mul", {masked, g.constant(0.5F)});
  });
  EXPECT_EQ(count_of(graph, "Attention"), 0);
}

TEST(FuseAttentionNot, WhereScoresAreReadTwice) {
  SmallGraph small;
  const Shape shape{kBatch, kLength, kChannels};
  const ValueId q = small.input("q", shape);
  const ValueId scores =
      small.add("MatMul", {split_heads(small, q), split_heads(small, small.input("k", shape), {0, 2, 3, 1})});
  const ValueId o = finish(small, scores, small.input("v", shape));
  small.graph.output = small.add("Add", {o, small.add("ReduceSum", {scores})});
  fuse_and_compare(small.graph);
  EXPECT_EQ(count_of(small.graph, "Attention"), 0);
}

TEST(Fuse, FoldsMasksThatWereInitializers) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 3});
  const ValueId table = small.constant({4, 3}, {1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0});
  const ValueId rows =
      small.add("Slice", {table},
                axis(0).set("start", std::int64_t{3}).set("end", std::int64_t{-1}).set("step", std::int64_t{-2}));
  const ValueId condition = small.add("Not", {small.add("Equal", {rows, small.constant(0)})});
  const ValueId turned = small.transpose(small.transpose(condition, {1, 0}), {1, 0});
  const ValueId fill = small.add("Neg", {small.add("Sqrt", {small.constant(16)})});
  small.graph.output = small.add("Where", {turned, x, fill});
  fuse_and_compare(small.graph);
  EXPECT_EQ(small.graph.num_nodes(), 1);
}

TEST(Fuse, MovesTransposesIntoProducts) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 3, 4});
  const ValueId w = small.parameter("w", {5, 4});
  const ValueId y = small.add("MatMul", {x, small.transpose(w, {1, 0})});
  small.graph.output = small.add("MatMul", {small.transpose(y, {0, 2, 1}), small.input("z", {3, 6})});
  fuse_and_compare(small.graph);
  EXPECT_EQ(count_of(small.graph, "Transpose"), 0);
  EXPECT_EQ(producer_of(small.graph, y).inputs[1], w);
  EXPECT_EQ(producer_of(small.graph, y).attrs.integer("trans_b"), 1);
}

}  // namespace
}  // namespace dml
