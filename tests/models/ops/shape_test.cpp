// Shape rules, one row per case: operation, inputs, attributes, and the outputs or what the error says.
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/models/small_graph.h"

namespace dml {
namespace {

using List = std::vector<std::int64_t>;

struct Input {
  Shape shape;
  DataType dtype = DataType::f32;
  bool is_absent = false;
};

const Input kAbsent{{}, DataType::f32, true};

struct ShapeCase {
  std::string op;
  std::vector<Input> inputs;
  Attributes attrs;
  std::string expected;  ///< "f32 2x3, i32 2x3", or what the error's text contains
};

Input booleans(const Shape& shape) { return {shape, DataType::boolean}; }
Input integers(const Shape& shape) { return {shape, DataType::i64}; }

std::string outputs_of(const ShapeCase& row) {
  SmallGraph small;
  Node node;
  node.op = op(row.op);
  node.name = "n";
  node.attrs = row.attrs;
  for (const Input& input : row.inputs) {
    node.inputs.push_back(input.is_absent ? kNone : small.input("x", input.shape, input.dtype));
  }
  try {
    const NodeId id = small.graph.add_node(node, {});
    std::string text;
    for (const ValueId output : small.graph.node(id).outputs) {
      const Value& value = small.graph.value(output);
      text += (text.empty() ? "" : ", ") + std::string(name_of(value.dtype)) + " " + value.shape.to_string();
    }
    return text;
  } catch (const ModelError& error) {
    return error.what();
  }
}

void check(const std::vector<ShapeCase>& rows) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string found = outputs_of(rows[row]);
    const bool agrees = found == rows[row].expected ||
                        (found.starts_with("node ") && found.find(rows[row].expected) != std::string::npos);
    EXPECT_TRUE(agrees) << rows[row].op << ", row " << row << ": " << found << "; wanted: " << rows[row].expected;
  }
}

TEST(Shapes, MatMul) {
  check({
      {"MatMul", {{{2, 3}}, {{3, 4}}}, {}, "f32 2x4"},
      {"MatMul", {{{5, 2, 3}}, {{3, 4}}}, {}, "f32 5x2x4"},
      {"MatMul", {{{5, 1, 2, 3}}, {{7, 3, 4}}}, {}, "f32 5x7x2x4"},
      {"MatMul", {{{3, 2}}, {{4, 3}}}, with({{"trans_a", i(1)}, {"trans_b", i(1)}}), "f32 2x4"},
      {"MatMul", {{{2, 3}}, {{3, 4}}, {{4}}}, {}, "f32 2x4"},
      {"MatMul", {{{2, 3}}, {{3, 4}}, {{3}}}, {}, "bias is 3, y is 2x4"},
      {"MatMul", {{{2, 3}}, {{4, 3}}}, {}, "K differs: a is 2x3, b is 4x3"},
      {"MatMul", {{{3}}, {{3, 4}}}, {}, "rank below 2: a is 3"},
      {"LinearGelu", {{{5, 2, 3}}, {{3, 4}}, {{4}}}, {}, "f32 5x2x4, f32 5x2x4"},
      {"LinearGelu", {{{5, 2, 3}}, {{5, 3, 4}}, {{4}}}, {}, "w is 5x3x4"},
      {"LinearGeluGrad", {{{5, 2, 3}}, {{4, 3}}, {{5, 2, 4}}}, with({{"trans_b", i(1)}}), "f32 5x2x4"},
      {"LinearGeluGrad", {{{2, 3}}, {{3, 4}}, {{2, 3}}}, {}, "pre is 2x3, dy w is 2x4"},
      {"LinearParamGrad", {{{6, 3}}, {{6, 4}}}, {}, "f32 3x4, f32 4"},
      {"LinearParamGrad", {{{6, 3}}, {{6, 4}}}, with({{"trans_b", i(1)}}), "f32 4x3, f32 4"},
      {"LinearParamGrad", {{{6, 3}}, {{5, 4}}}, {}, "wants matrices of as many rows"},
      {"MatMul", {{{5, 2, 3}}, {{4, 3, 4}}}, {}, "shapes differ"},
      {"MatMul", {{{2, 3}}, integers({3, 4})}, {}, "input 1 is i64, wants f32"},
  });
}

TEST(Shapes, Elementwise) {
  check({
      {"Add", {{{2, 1, 3}}, {{4, 1}}}, {}, "f32 2x4x3"},
      {"Mul", {integers({2}), integers({})}, {}, "i64 2"},
      {"Sub", {{{2}}, integers({2})}, {}, "input 1 is i64, wants f32"},
      {"Pow", {{{2}}, {{3}}}, {}, "shapes differ: 2 and 3"},
      {"Less", {integers({2, 2}), integers({})}, {}, "bool 2x2"},
      {"And", {booleans({2}), booleans({1})}, {}, "bool 2"},
      {"Or", {{{2}}, {{2}}}, {}, "wants bool"},
      {"Not", {booleans({2})}, {}, "bool 2"},
      {"Where", {booleans({2, 1}), {{3}}, {{}}}, {}, "f32 2x3"},
      {"Where", {{{2}}, {{2}}, {{2}}}, {}, "input 0 is f32, wants bool"},
      {"Relu", {{{2, 3}}}, {}, "f32 2x3"},
      {"Exp", {integers({2})}, {}, "wants a float type"},
      {"Gelu", {{{2}}}, with({{"approximate", std::string("tanh")}}), "f32 2"},
      {"Gelu", {{{2}}}, {}, "approximate is ''"},
      {"Cast", {{{2}}}, with({{"to", std::string("bool")}}), "bool 2"},
      {"Cast", {{{2}}}, with({{"to", std::string("i4")}}), "to is 'i4'"},
      {"Dropout", {{{2}}}, with({{"ratio", 1.0}}), "ratio is 1"},
      {"SumTo", {{{2, 4, 3}}}, with({{"shape", List{4, 1}}}), "f32 4x1"},
      {"SumTo", {{{2, 4, 3}}}, with({{"shape", List{2}}}), "shapes differ"},
      {"ReluGrad", {{{2, 3}}, {{3, 2}}}, {}, "shapes differ: input 0 is 2x3, input 1 is 3x2"},
  });
}

TEST(Shapes, SoftmaxAndNormalization) {
  check({
      {"Softmax", {{{2, 3}}}, with({{"axis", i(-1)}}), "f32 2x3"},
      {"Softmax", {{{2, 3}}}, with({{"axis", i(2)}}), "dim 2 of a tensor of shape 2x3"},
      {"LayerNorm", {{{2, 3, 4}}, {{3, 4}}, {{3, 4}}}, with({{"axis", i(1)}}), "f32 2x3x4, f32 2, f32 2"},
      {"LayerNorm", {{{2, 3, 4}}, {{3}}}, with({{"axis", i(-1)}}), "input 1 is 3, wants 4"},
      {"LayerNormGrad", {{{2, 3}}, {{2, 3}}, {{3}}, {{2}}, {{2}}}, with({{"axis", i(-1)}}), "f32 2x3"},
      {"LayerNormParamGrad", {{{2, 3}}, {{2, 3}}, {{2}}, {{2}}}, with({{"axis", i(-1)}}), "f32 3, f32 3"},
      {"BatchNorm", {{{2, 3, 4}}, {{3}}, {{3}}, {{3}}, {{3}}}, {}, "f32 2x3x4, f32 3, f32 3, f32 3, f32 3"},
      {"BatchNorm", {{{2, 3, 4}}, {{2}}, {{3}}, {{3}}, {{3}}}, {}, "input 1 is 2, wants 3"},
      {"BatchNormGrad", {{{2, 3}}, {{2, 3}}, {{3}}, {{3}}, {{3}}}, {}, "f32 2x3, f32 3, f32 3"},
  });
}

TEST(Shapes, ConvolutionsAndPools) {
  const auto strided = with({{"strides", List{2, 1}}, {"pads", List{1, 0, 1, 0}}});
  auto strided_grad = strided;
  strided_grad.set("shape", List{1, 2, 5, 5});
  const auto pool = with({{"kernel", List{3}}, {"strides", List{2}}});
  auto ceiled = pool;
  ceiled.set("ceil_mode", i(1));
  check({
      {"Conv", {{{1, 2, 5, 5}}, {{4, 2, 3, 3}}, {{4}}}, strided, "f32 1x4x3x3"},
      {"Conv", {{{1, 4, 9}}, {{4, 2, 3}}}, with({{"group", i(2)}, {"dilations", List{2}}}), "f32 1x4x5"},
      {"Conv", {{{1, 2, 5, 5}}, {{4, 3, 3, 3}}}, {}, "channels differ: x is 1x2x5x5, w is 4x3x3x3, group 1"},
      {"Conv", {{{1, 2, 2, 5}}, {{4, 2, 3, 3}}}, {}, "does not fit into x 1x2x2x5"},
      {"Conv", {{{1, 2, 2, 2, 2}}, {{4, 2, 1, 1, 1}}}, {}, "one or two spatial dims"},
      {"ConvInputGrad", {{{1, 4, 3, 3}}, {{4, 2, 3, 3}}}, strided_grad, "f32 1x2x5x5"},
      {"ConvInputGrad", {{{1, 4, 3, 2}}, {{4, 2, 3, 3}}}, strided_grad, "dy is 1x4x3x2, y is 1x4x3x3"},
      {"MaxPool", {{{1, 2, 8}}}, pool, "f32 1x2x3, i32 1x2x3"},
      {"MaxPool", {{{1, 2, 8}}}, ceiled, "f32 1x2x4, i32 1x2x4"},
      {"AveragePool", {{{1, 2, 7}}}, ceiled, "f32 1x2x3"},
      {"AveragePool", {{{1, 2, 7, 7}}}, pool, "kernel has 1 dims"},
  });
}

TEST(Shapes, Movement) {
  const auto slice = [](std::int64_t start, std::int64_t end, std::int64_t step) {
    return with({{"axis", i(1)}, {"start", start}, {"end", end}, {"step", step}});
  };
  check({
      {"Reshape", {{{2, 3}}}, with({{"shape", List{3, 2, 1}}}), "f32 3x2x1"},
      {"Reshape", {{{2, 3}}}, with({{"shape", List{-1}}}), "not complete"},
      {"Reshape", {{{2, 3}}}, with({{"shape", List{5}}}), "x 2x3 has other elements than 5"},
      {"Transpose", {{{2, 3, 4}}}, with({{"perm", List{2, 0, 1}}}), "f32 4x2x3"},
      {"Transpose", {{{2, 3}}}, with({{"perm", List{0, 0}}}), "twice"},
      {"Expand", {{{3, 1}}}, with({{"shape", List{2, 3, 4}}}), "f32 2x3x4"},
      {"Expand", {{{3, 2}}}, with({{"shape", List{3, 1}}}), "not broadcast"},
      {"Slice", {{{2, 7}}}, slice(1, 6, 2), "f32 2x3"},
      {"Slice", {{{2, 7}}}, slice(6, -1, -3), "f32 2x3"},
      {"Slice", {{{2, 7}}}, slice(0, 8, 1), "start 0, end 8, step 1 of dim 1 of 2x7"},
      {"Slice", {{{2, 7}}}, slice(0, 7, 0), "step 0"},
      {"Concat", {{{2, 3}}, {{2, 4}}}, with({{"axis", i(1)}}), "f32 2x7"},
      {"Concat", {{{2, 3}}, {{3, 4}}}, with({{"axis", i(1)}}), "shapes differ outside dim 1"},
      {"Split", {{{2, 7}}}, with({{"axis", i(1)}, {"sizes", List{3, 4}}}), "f32 2x3, f32 2x4"},
      {"Split", {{{2, 7}}}, with({{"axis", i(1)}, {"sizes", List{3, 3}}}), "sizes sum to 6"},
      {"Gather", {{{7, 3}}, integers({2, 5})}, {}, "f32 2x5x3"},
      {"Gather", {{{7, 3}}, integers({})}, with({{"axis", i(1)}}), "f32 7"},
      {"Gather", {{{7, 3}}, {{2}}}, {}, "input 1 is f32, wants i64"},
      {"ReduceSum", {{{2, 3, 4}}}, with({{"axes", List{0, -1}}, {"keepdims", i(0)}}), "f32 3"},
      {"ReduceMean", {{{2, 3, 4}}}, with({{"axes", List{1}}}), "f32 2x1x4"},
      {"ReduceMean", {{{2, 3}}}, with({{"keepdims", i(0)}}), "f32 scalar"},
  });
}

TEST(Shapes, Attention) {
  const auto heads = with({{"heads", i(2)}, {"scale", 0.5}});
  const Input q{{2, 5, 8}};
  const Input k{{2, 7, 8}};
  check({
      {"Attention", {q, k, k}, heads, "f32 2x5x8, f32 2x2x5"},
      {"Attention", {q, k, k, {{1, 1, 5, 7}}}, heads, "f32 2x5x8, f32 2x2x5"},
      {"Attention", {q, k, k, {{5, 7}}}, heads, "mask is 5x7, scores are 2x2x5x7"},
      {"Attention", {q, k, k}, with({{"heads", i(3)}}), "3 heads of q 2x5x8"},
      {"AttentionGrad", {q, q, k, k, kAbsent, q, {{2, 2, 5}}}, heads, "f32 2x5x8, f32 2x7x8, f32 2x7x8"},
      {"PackedAttention", {{{2, 5, 24}}}, heads, "f32 2x5x8, f32 2x2x5"},
      {"PackedAttention", {{{2, 5, 25}}}, heads, "qkv is 2x5x25"},
      {"PackedAttentionGrad", {q, {{2, 5, 24}}, kAbsent, q, {{2, 2, 5}}}, heads, "f32 2x5x24"},
  });
}

TEST(Shapes, LossesAndShards) {
  const auto shard = [](std::int64_t begin, std::int64_t end) {
    return with({{"dim", i(1)}, {"outer", i(3)}, {"units", i(4)}, {"inner", i(2)}, {"begin", begin}, {"end", end}});
  };
  auto merge = shard(0, 4);
  merge.set("shape", List{5, 24});
  check({
      {"CrossEntropy", {{{2, 5, 9}}, integers({2, 5})}, {}, "f32 scalar, f32 2x5"},
      {"CrossEntropy", {{{2, 5, 9}}, integers({2})}, {}, "logits are 2x5x9, labels are 2"},
      {"CrossEntropyStats", {{{2, 9}}, integers({2})}, {}, "f32 2x3"},
      {"CrossEntropyMerge", {{{4, 2, 3}}, integers({2})}, {}, "f32 scalar, f32 2"},
      {"CrossEntropyGrad", {{{2, 9}}, integers({2}), {{2}}}, {}, "f32 2x9"},
      {"MeanSquaredError", {{{2, 9}}, {{2, 9}}}, {}, "f32 scalar"},
      {"MeanSquaredError", {{{2, 9}}, {{9}}}, {}, "shapes differ"},
      {"WeightedLoss", {{{1}}}, {}, "f32 scalar"},
      {"WeightedLoss", {{{2}}}, {}, "wants one element"},
      {"WeightedLossGrad", {}, {}, "f32 scalar"},
      {"ShardSlice", {{{5, 24}}}, shard(1, 3), "f32 5x12"},
      {"ShardSlice", {{{5, 25}}}, shard(1, 3), "in dim 1 of 5x25"},
      {"ShardSlice", {{{5, 24}}}, shard(3, 5), "units 3 to 5 of 4"},
      {"ShardMerge", {{{120}}}, merge, "f32 5x24"},
      {"AllReduce", {{{5}}}, {}, "f32 5"},
      {"ReduceScatter", {{{5, 24}}}, shard(1, 3), "f32 5x12"},
      {"AllGather", {{{5}}}, with({{"counts", List{5, 4}}}), "f32 9"},
      {"AllGather", {{{5}}}, with({{"counts", List{5, 5}}, {"shape", List{2, 5}}}), "f32 2x5"},
      {"AllGather", {{{5}}}, with({{"counts", List{5, 4}}, {"shape", List{2, 5}}}), "the counts sum to 9"},
  });
}

TEST(Costs, CountMultiplicationsAndAdditions) {
  SmallGraph small;
  const ValueId x = small.input("x", {2, 5, 24});
  const ValueId y = small.add("MatMul", {x, small.parameter("w", {24, 7})});
  const auto attrs = with({{"heads", i(2)}, {"causal", i(1)}});
  const ValueId o = small.add("PackedAttention", {x}, attrs);
  const ValueId c = small.add("Conv", {x, small.parameter("v", {4, 5, 3})}, with({{"pads", List{1, 1}}}));
  EXPECT_EQ(cost_of(small.graph, producer_of(small.graph, y)).flops, 2.0 * 10 * 24 * 7);
  EXPECT_EQ(cost_of(small.graph, producer_of(small.graph, o)).flops, 0.5 * 4 * 2 * 2 * 5 * 5 * 4);
  EXPECT_EQ(cost_of(small.graph, producer_of(small.graph, c)).flops, 2.0 * (2 * 4 * 24) * (5 * 3));
  EXPECT_EQ(cost_of(small.graph, producer_of(small.graph, y)).bytes, 4.0 * (240 + 168 + 70));
  const ValueId r = small.reshape(x, {10, 24});
  EXPECT_EQ(cost_of(small.graph, producer_of(small.graph, r)).bytes, 0);
}

TEST(Registry, HasNoNameTwiceAndARuleForEachShape) {
  for (const OpDef& def : all_ops()) {
    EXPECT_EQ(find_op(def.name), &def) << def.name;
    EXPECT_NE(def.infer, nullptr) << def.name;
  }
  EXPECT_EQ(find_op("Nonsense"), nullptr);
  EXPECT_THROW(op("Nonsense"), InternalError);
}

}  // namespace
}  // namespace dml
