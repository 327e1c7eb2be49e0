#include "models/onnx/lower/operators.h"

#include <algorithm>

#include "models/onnx/lower/lowering.h"

namespace dml {
namespace {

constexpr auto kFirst = ResultType::as_first;
constexpr auto kBool = ResultType::boolean;

constexpr std::uint32_t inputs(std::initializer_list<int> indices) {
  std::uint32_t mask = 0;
  for (const int index : indices) mask |= 1U << index;
  return mask;
}

// Sorted by type.
constexpr OnnxOperator kOperators[] = {
    {"Abs", lower_same, fold_unary},
    {"Add", lower_same, fold_arithmetic},
    {"And", lower_same, fold_logic, kBool},
    {"AveragePool", lower_average_pool},
    {"BatchNormalization", lower_batch_normalization},
    {"Cast", lower_cast, fold_cast, ResultType::by_attribute},
    {"Clip", lower_clip, nullptr, kFirst, inputs({1, 2})},
    {"Concat", lower_concat, fold_concat},
    {"Constant", nullptr, fold_constant, ResultType::by_attribute},
    {"ConstantOfShape", nullptr, fold_constant_of_shape, ResultType::by_attribute},
    {"Conv", lower_conv},
    {"Div", lower_same, fold_arithmetic},
    {"Dropout", lower_dropout, nullptr, kFirst, inputs({1, 2})},
    {"Equal", lower_same, fold_comparison, kBool},
    {"Erf", lower_same, fold_unary},
    {"Exp", lower_same, fold_unary},
    {"Expand", lower_expand, fold_expand, kFirst, inputs({1})},
    {"Flatten", lower_flatten, fold_flatten},
    {"Gather", lower_gather, fold_gather},
    {"Gelu", lower_gelu},
    {"Gemm", lower_gemm},
    {"GlobalAveragePool", lower_global_average_pool},
    {"Greater", lower_same, fold_comparison, kBool},
    {"GreaterOrEqual", lower_same, fold_comparison, kBool},
    {"Identity", lower_identity, fold_identity},
    {"LayerNormalization", lower_layer_normalization},
    {"Less", lower_same, fold_comparison, kBool},
    {"LessOrEqual", lower_same, fold_comparison, kBool},
    {"Log", lower_same, fold_unary},
    {"LogSoftmax", lower_softmax},
    {"MatMul", lower_matmul},
    {"Max", nullptr, fold_arithmetic},
    {"MaxPool", lower_max_pool},
    {"Min", nullptr, fold_arithmetic},
    {"Mul", lower_same, fold_arithmetic},
    {"Neg", lower_same, fold_unary},
    {"Not", lower_same, fold_logic, kBool},
    {"Or", lower_same, fold_logic, kBool},
    {"Pow", lower_pow, fold_arithmetic},
    {"Range", nullptr, fold_range},
    {"Reciprocal", lower_same, fold_unary},
    {"ReduceMax", nullptr, fold_reduce},
    {"ReduceMean", lower_reduce, fold_reduce, kFirst, inputs({1})},
    {"ReduceMin", nullptr, fold_reduce},
    {"ReduceProd", nullptr, fold_reduce},
    {"ReduceSum", lower_reduce, fold_reduce, kFirst, inputs({1})},
    {"Relu", lower_same, fold_unary},
    {"Reshape", lower_reshape, fold_reshape, kFirst, inputs({1})},
    {"Shape", nullptr, fold_shape, ResultType::integer},
    {"Sigmoid", lower_same, fold_unary},
    {"Size", nullptr, fold_size, ResultType::integer},
    {"Slice", lower_slice, fold_slice, kFirst, inputs({1, 2, 3, 4})},
    {"Softmax", lower_softmax},
    {"Split", lower_split, fold_split, kFirst, inputs({1})},
    {"Sqrt", lower_same, fold_unary},
    {"Squeeze", lower_squeeze, fold_squeeze, kFirst, inputs({1})},
    {"Sub", lower_same, fold_arithmetic},
    {"Tanh", lower_same, fold_unary},
    {"Transpose", lower_transpose, fold_transpose},
    {"Trilu", lower_trilu, fold_trilu, kFirst, inputs({1})},
    {"Unsqueeze", lower_unsqueeze, fold_unsqueeze, kFirst, inputs({1})},
    {"Where", lower_same, fold_where, ResultType::as_second},
};

}  // namespace

std::uint32_t constant_inputs_of(const OnnxOperator& op, const OnnxNode& node) {
  const bool has_fixed_statistics = op.lower == lower_batch_normalization && node.integer("training_mode", 0) == 0;
  return has_fixed_statistics ? inputs({3, 4}) : op.constant_inputs;
}

bool is_shape_query(const OnnxOperator& op) { return op.fold == fold_shape || op.fold == fold_size; }

const OnnxOperator* find_operator(std::string_view type, std::string_view domain) {
  if (!domain.empty() && domain != "ai.onnx") return nullptr;
  const auto* found = std::lower_bound(std::begin(kOperators), std::end(kOperators), type,
                                       [](const OnnxOperator& row, std::string_view key) { return row.type < key; });
  return found != std::end(kOperators) && found->type == type ? found : nullptr;
}

}  // namespace dml
