// The table of tensor-split rules. An operation without a row here runs replicated.
#include <array>

#include "parallel/tensor/rule.h"

namespace dml {
namespace {

using namespace split_rules;

constexpr std::array kRules{
    TensorRule{"MatMul", matmul},
    TensorRule{"Conv", conv},
    TensorRule{"ConvInputGrad", conv_input_grad, localize_shape},
    TensorRule{"ConvWeightGrad", conv_weight_grad, localize_shape},
    TensorRule{"Add", linear},
    TensorRule{"Sub", linear},
    TensorRule{"Neg", linear},
    TensorRule{"Cast", linear},
    TensorRule{"Mul", product},
    TensorRule{"Div", product},
    TensorRule{"Pow", elementwise},
    TensorRule{"Equal", elementwise},
    TensorRule{"Less", elementwise},
    TensorRule{"LessOrEqual", elementwise},
    TensorRule{"Greater", elementwise},
    TensorRule{"GreaterOrEqual", elementwise},
    TensorRule{"And", elementwise},
    TensorRule{"Or", elementwise},
    TensorRule{"Not", elementwise},
    TensorRule{"Where", elementwise},
    TensorRule{"Relu", elementwise},
    TensorRule{"Sigmoid", elementwise},
    TensorRule{"Tanh", elementwise},
    TensorRule{"Erf", elementwise},
    TensorRule{"Exp", elementwise},
    TensorRule{"Log", elementwise},
    TensorRule{"Sqrt", elementwise},
    TensorRule{"Reciprocal", elementwise},
    TensorRule{"Abs", elementwise},
    TensorRule{"Gelu", elementwise},
    TensorRule{"Clip", elementwise},
    TensorRule{"ReluGrad", elementwise},
    TensorRule{"TanhGrad", elementwise},
    TensorRule{"SigmoidGrad", elementwise},
    TensorRule{"GeluGrad", elementwise},
    TensorRule{"ClipGrad", elementwise},
    TensorRule{"Dropout", elementwise, localize_dropout},
    TensorRule{"DropoutGrad", elementwise, localize_dropout},
    TensorRule{"Softmax", along_axis},
    TensorRule{"LogSoftmax", along_axis},
    TensorRule{"SoftmaxGrad", along_axis},
    TensorRule{"LogSoftmaxGrad", along_axis},
    TensorRule{"LayerNorm", layer_norm},
    TensorRule{"LayerNormGrad", layer_norm_grad},
    TensorRule{"LayerNormParamGrad", layer_norm_param_grad},
    TensorRule{"BatchNorm", batch_norm},
    TensorRule{"BatchNormGrad", batch_norm},
    TensorRule{"MaxPool", pool},
    TensorRule{"MaxPoolGrad", pool, localize_shape},
    TensorRule{"AveragePool", pool},
    TensorRule{"AveragePoolGrad", pool, localize_shape},
    TensorRule{"ReduceSum", reduce},
    TensorRule{"ReduceMean", reduce},
    TensorRule{"Reshape", reshape, localize_shape},
    TensorRule{"Transpose", transpose},
    TensorRule{"Expand", expand, localize_shape},
    TensorRule{"SumTo", sum_to, localize_shape},
    TensorRule{"Slice", slice, localize_slice},
    TensorRule{"SliceGrad", slice, localize_slice_grad},
    TensorRule{"Split", split, localize_split},
    TensorRule{"Concat", concat},
    TensorRule{"Gather", gather, localize_gather},
    TensorRule{"GatherGrad", gather_grad, localize_gather_grad},
    TensorRule{"Attention", attention, localize_attention},
    TensorRule{"PackedAttention", attention, localize_attention},
    TensorRule{"AttentionGrad", attention_grad, localize_attention},
    TensorRule{"PackedAttentionGrad", attention_grad, localize_attention},
    TensorRule{"CrossEntropy", cross_entropy},
    TensorRule{"CrossEntropyGrad", cross_entropy_grad, localize_cross_entropy_grad},
};

}  // namespace

const TensorRule* find_tensor_rule(std::string_view op) {
  for (const TensorRule& rule : kRules) {
    if (rule.name == op) return &rule;
  }
  return nullptr;
}

}  // namespace dml
