// Rows of matrix products, convolutions, pools, normalizations and attention.
#include "tests/runtime/operation_cases.h"

namespace dml::test {

OperationCases linear_cases() {
  const auto trans_a = with({{"trans_a", 1}});
  const auto trans_b = with({{"trans_b", 1}});
  return {
      {"MatMul", {real({5, 7}), real({7, 3})}},
      {"MatMul", {real({1, 1}), real({1, 1})}},
      {"MatMul", {real({17, 64}), real({64, 33}), real({33})}},
      {"MatMul", {real({4, 9, 31}), real({31, 12}), real({12})}},
      {"MatMul", {real({2, 3, 5, 8}), real({8, 6}), absent()}},
      {"MatMul", {real({7, 5}), real({7, 3})}, trans_a},
      {"MatMul", {real({300, 20}), real({300, 11})}, trans_a, {1e-5, 1e-5}},  // 300 products
      {"MatMul", {real({7, 5}), real({7, 3}), real({3})}, trans_a},
      {"MatMul", {real({5, 7}), real({3, 7})}, trans_b},
      {"MatMul", {real({2, 6, 7}), real({3, 7}), real({3})}, trans_b},
      {"MatMul", {real({7, 5}), real({3, 7})}, with({{"trans_a", 1}, {"trans_b", 1}, {"alpha", -2.0}})},
      {"MatMul", {real({2, 3, 5, 4}), real({2, 3, 7, 4})}, with({{"trans_b", 1}, {"alpha", 0.5}})},
      {"MatMul", {real({4, 6, 5}), real({4, 6, 3})}, trans_a},
      {"MatMul", {real({4, 6, 5}), real({6, 3})}, trans_a},
      {"MatMul", {real({4, 1, 5, 6}), real({3, 6, 2}), real({2})}},
      {"MatMul", {real({5, 6}), real({2, 3, 6, 2})}},
      {"MatMul", {real({2, 1, 2, 5, 6}), real({1, 3, 1, 6, 2})}},
      {"MatMul", {real({9, 8}), real({8, 5}), real({5})}, with({{"alpha", 0.25}})},
      {"MatMul", {real({9, 8}), real({8, 5})}, with({{"accumulate", 1}})},
      {"MatMul", {real({9, 8}), real({9, 5})}, with({{"accumulate", 1}, {"trans_a", 1}, {"alpha", 3.0}})},
      {"MatMul", {real({9, 8}), real({8, 5}), real({5})}, with({{"accumulate", 1}})},
      {"MatMul", {real({2, 9, 8}), real({8, 5}), real({5})}, with({{"accumulate", 1}, {"alpha", 2.0}})},
      {"MatMul", {real({3, 0}), real({0, 5}), real({5})}},
      {"MatMul", {real({3, 0}), real({0, 5})}, with({{"accumulate", 1}})},
      {"MatMul", {real({0, 4}), real({4, 5})}},
      {"MatMul", {real({0, 4}), real({0, 5})}, trans_a},
      {"MatMul", {real({3, 4}), real({4, 0})}},
      {"MatMul", {real({130, 300}), real({300, 70})}, {}, {2e-5, 1e-5}},  // above what one thread takes
      {"MatMul", {real({300, 130}), real({300, 70})}, trans_a, {2e-5, 1e-5}},
      {"LinearGelu", {real({2, 9, 31}), real({31, 24}), real({24})}},
      {"LinearGelu", {real({2, 9, 31}), real({16, 31}), real({16})}, trans_b},
      {"LinearGelu", {real({0, 4}), real({4, 8}), real({8})}},
      {"LinearGelu", {real({3, 0}), real({0, 8}), real({8})}},
      {"LinearGeluGrad", {real({2, 9, 31}), real({31, 24}), real({2, 9, 24}, -3, 3)}},
      {"LinearGeluGrad", {real({2, 9, 31}), real({16, 31}), real({2, 9, 16}, -3, 3)}, trans_b},
      {"LinearGeluGrad", {real({130, 300}), real({300, 72}), real({130, 72}, -3, 3)}, {}, {3e-5, 1e-5}},
      {"LinearParamGrad", {real({300, 20}), real({300, 11})}, {}, {1e-5, 1e-5}},
      {"LinearParamGrad", {real({300, 20}), real({300, 11})}, trans_b, {1e-5, 1e-5}},
      {"LinearParamGrad", {real({9, 1}), real({9, 16})}},
      {"LinearParamGrad", {real({9, 8}), real({9, 5})}, with({{"accumulate", 1}})},
      {"LinearParamGrad", {real({0, 3}), real({0, 5})}},
      {"LinearParamGrad", {real({4, 0}), real({4, 5})}},
  };
}

namespace {

struct ConvShapes {
  Shape x, w;
  Attributes attrs;
  Shape y;
};

std::vector<ConvShapes> conv_shapes() {
  const auto padded = with({{"pads", Ints{1, 1, 1, 1}}});
  return {
      {{2, 3, 7, 9}, {4, 3, 3, 3}, {}, {2, 4, 5, 7}},
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}, {1, 1, 1, 1}},
      {{2, 16, 8, 8}, {32, 16, 3, 3}, padded, {2, 32, 8, 8}},
      {{2, 17, 8, 8}, {5, 17, 1, 1}, with({{"strides", Ints{2, 2}}}), {2, 5, 4, 4}},
      {{2, 4, 9, 8}, {6, 2, 3, 2}, with({{"group", 2}, {"strides", Ints{2, 1}}}), {2, 6, 4, 7}},
      {{2, 8, 6, 6}, {8, 1, 3, 3}, with({{"group", 8}, {"pads", Ints{1, 1, 1, 1}}}), {2, 8, 6, 6}},
      {{1, 3, 9, 11}, {2, 3, 3, 3}, with({{"dilations", Ints{2, 3}}, {"pads", Ints{2, 0, 1, 3}}}), {1, 2, 8, 8}},
      {{1, 3, 10, 10}, {16, 3, 7, 7}, with({{"strides", Ints{2, 2}}, {"pads", Ints{3, 3, 3, 3}}}), {1, 16, 5, 5}},
      {{3, 4, 15}, {6, 4, 5}, with({{"strides", Ints{2}}, {"pads", Ints{2, 1}}}), {3, 6, 7}},
      {{2, 6, 12}, {4, 3, 3}, with({{"group", 2}, {"dilations", Ints{2}}}), {2, 4, 8}},
      {{2, 3, 8}, {5, 3, 1}, {}, {2, 5, 8}},
  };
}

Attributes with_shape(Attributes attrs, const Shape& shape) { return attrs.set("shape", shape.to_vector()); }

}  // namespace

OperationCases window_cases() {
  OperationCases cases;
  for (const auto& [x, w, attrs, y] : conv_shapes()) {
    const Tolerance sums{1e-5, 1e-5};  // up to 300 products
    cases.push_back({"Conv", {real(x), real(w)}, attrs, sums});
    cases.push_back({"Conv", {real(x), real(w), real({w[0]})}, attrs, sums});
    cases.push_back({"ConvInputGrad", {real(y), real(w)}, with_shape(attrs, x), sums});
    cases.push_back({"ConvWeightGrad", {real(y), real(x)}, with_shape(attrs, w), sums});
  }
  struct Pool {
    Shape x, y;
    Attributes attrs;
  };
  const std::vector<Pool> pools = {
      {{2, 3, 6, 8}, {2, 3, 3, 4}, with({{"kernel", Ints{2, 2}}, {"strides", Ints{2, 2}}})},
      {{2, 3, 7, 9}, {2, 3, 4, 5}, with({{"kernel", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}})},
      {{1, 2, 8, 8}, {1, 2, 4, 4}, with({{"kernel", Ints{3, 2}}, {"strides", Ints{2, 2}}, {"ceil_mode", 1}})},
      {{1, 2, 6, 5},
       {1, 2, 4, 3},
       with({{"kernel", Ints{2, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 0, 1, 1}}, {"ceil_mode", 1}})},
      {{2, 3, 20}, {2, 3, 9}, with({{"kernel", Ints{4}}, {"strides", Ints{2}}})},
      {{2, 3, 7}, {2, 3, 4}, with({{"kernel", Ints{3}}, {"strides", Ints{2}}, {"pads", Ints{1, 1}}})},
      {{1, 1, 4, 4}, {1, 1, 1, 1}, with({{"kernel", Ints{4, 4}}})},
  };
  for (const auto& [x, y, attrs] : pools) {
    cases.push_back({"MaxPool", {real(x)}, attrs, kExact});
    cases.push_back({"MaxPool", {whole(x, -1, 1, DataType::f32)}, attrs, kExact});
    cases.push_back({"MaxPoolGrad", {real(y), places(y)}, with_shape(attrs, x)});
    for (const std::int64_t counts_pads : {0, 1}) {
      Attributes counted = attrs;
      counted.set("count_include_pad", counts_pads);
      cases.push_back({"AveragePool", {real(x)}, counted});
      cases.push_back({"AveragePoolGrad", {real(y)}, with_shape(counted, x)});
    }
  }
  cases.push_back({"MaxPool", {real({1, 2, 9, 9})}, with({{"kernel", Ints{3, 2}}, {"dilations", Ints{2, 3}}}), kExact});
  return cases;
}

OperationCases normalization_cases() {
  OperationCases cases;
  for (const auto& [shape, axis] : {std::pair{Shape{4, 9}, -1},
                                    {Shape{3, 130}, 1},
                                    {Shape{5, 4, 3}, 0},
                                    {Shape{2, 6, 5}, 1},
                                    {Shape{7}, 0},
                                    {Shape{3, 1}, 1},
                                    {Shape{2, 2048}, 1},
                                    {Shape{3, 1501}, 1}}) {
    const auto along = with({{"axis", axis}});
    const Tolerance sums{1e-5, 2e-5};  // up to 2,048 terms
    cases.push_back({"Softmax", {real(shape, -8, 8)}, along});
    cases.push_back({"LogSoftmax", {real(shape, -8, 8)}, along});
    cases.push_back({"SoftmaxGrad", {real(shape), real(shape, 0, 1)}, along, sums});
    cases.push_back({"LogSoftmaxGrad", {real(shape), real(shape, -4, 0)}, along, sums});
  }
  for (const auto& [shape, axis] : {std::pair{Shape{6, 33}, -1},
                                    {Shape{2, 3, 128}, 2},
                                    {Shape{4, 5, 7}, 1},
                                    {Shape{300, 20}, 1},
                                    {Shape{1, 9}, 1},
                                    {Shape{3, 2052}, 1},
                                    {Shape{2, 1027}, 1}}) {
    const int first = shape.normalize(axis);
    const Shape outer(std::span(shape.begin(), shape.begin() + first));
    const Shape inner(std::span(shape.begin() + first, shape.end()));
    const auto attrs = with({{"axis", axis}, {"epsilon", 1e-5}});
    const Tolerance sums{1e-5, 2e-5};  // up to 300 rows, and factors of some units
    cases.push_back({"LayerNorm", {real(shape), real(inner), real(inner)}, attrs, sums});
    cases.push_back({"LayerNorm", {real(shape, 1, 3), real(inner)}, attrs, sums});
    cases.push_back({"LayerNorm", {real(shape), real(inner), absent()}, attrs, sums});
    const Operand mean = real(outer);
    const Operand rstd = real(outer, 0.5, 2);
    cases.push_back({"LayerNormGrad", {real(shape), real(shape), real(inner), mean, rstd}, attrs, sums});
    cases.push_back({"LayerNormParamGrad", {real(shape), real(shape), mean, rstd}, attrs, sums});
  }
  for (const Shape& shape : {Shape{4, 3, 5, 6}, Shape{7, 5}, Shape{3, 17, 11}, Shape{2, 2, 40, 41}, Shape{1, 3, 2}}) {
    const Operand channels = real({shape[1]});
    const Operand positive = real({shape[1]}, 0.5, 2);
    const Tolerance sums{1e-5, 2e-5};  // up to 3,280 terms in double
    cases.push_back({"BatchNorm",
                     {real(shape), channels, channels, channels, positive},
                     with({{"epsilon", 1e-5}, {"momentum", 0.9}}),
                     sums});
    cases.push_back({"BatchNorm",
                     {real(shape, 2, 3), channels, channels, channels, positive},
                     with({{"epsilon", 1e-3}, {"momentum", 0.25}}),
                     sums});
    cases.push_back({"BatchNormGrad", {real(shape), real(shape), channels, channels, positive}, {}, sums});
  }
  return cases;
}

OperationCases attention_cases() {
  OperationCases cases;
  const Tolerance tolerance{5e-6, 2e-5};
  struct Sizes {
    std::int64_t batch, queries, keys, heads, width;
  };
  for (const auto& [batch, queries, keys, heads, width] :
       {Sizes{2, 5, 5, 2, 4}, Sizes{1, 33, 33, 3, 8}, Sizes{2, 7, 11, 1, 5}, Sizes{1, 70, 70, 2, 16},
        Sizes{1, 70, 70, 1, 64}, Sizes{1, 20, 37, 2, 128}, Sizes{1, 18, 18, 1, 200}}) {
    const Shape q{batch, queries, heads * width};
    const Shape k{batch, keys, heads * width};
    for (const std::int64_t causal : {0, 1}) {
      const auto attrs = with({{"heads", heads}, {"scale", 0.4}, {"causal", causal}});
      for (const Operand& m :
           {absent(), mask({1, 1, queries, keys}), mask({batch, 1, 1, keys}), mask({batch, heads, queries, keys})}) {
        cases.push_back({"Attention", {real(q), real(k), real(k), m}, attrs, tolerance});
        cases.push_back({"AttentionGrad",
                         {real(q), real(q), real(k), real(k), m, forward(0), forward(1)},
                         attrs,
                         tolerance,
                         "Attention",
                         {1, 2, 3, 4}});
        if (queries != keys) continue;
        const Shape qkv{batch, queries, 3 * heads * width};
        cases.push_back({"PackedAttention", {real(qkv), m}, attrs, tolerance});
        cases.push_back({"PackedAttentionGrad",
                         {real(q), real(qkv), m, forward(0), forward(1)},
                         attrs,
                         tolerance,
                         "PackedAttention",
                         {1, 2}});
      }
    }
  }
  return cases;
}

}  // namespace dml::test
