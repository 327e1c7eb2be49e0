#include "runtime/device/cuda/kernel_table.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "kernels/error.h"
#include "models/op.h"
#include "runtime/device/cuda/bind.h"

namespace dml::cuda {
namespace {

struct Row {
  std::string_view operation;
  Kernel (*bind)(const BindArgs& args);
};

// In the order of models/ops/README.md.
constexpr std::array kRows = {
    Row{"MatMul", bind_matmul},
    Row{"Add", bind_binary},
    Row{"Sub", bind_binary},
    Row{"Mul", bind_binary},
    Row{"Div", bind_binary},
    Row{"Pow", bind_binary},
    Row{"Equal", bind_compare},
    Row{"Less", bind_compare},
    Row{"LessOrEqual", bind_compare},
    Row{"Greater", bind_compare},
    Row{"GreaterOrEqual", bind_compare},
    Row{"And", bind_logical},
    Row{"Or", bind_logical},
    Row{"Not", bind_not},
    Row{"Where", bind_where},
    Row{"Relu", bind_unary},
    Row{"Sigmoid", bind_unary},
    Row{"Tanh", bind_unary},
    Row{"Erf", bind_unary},
    Row{"Exp", bind_unary},
    Row{"Log", bind_unary},
    Row{"Sqrt", bind_unary},
    Row{"Neg", bind_unary},
    Row{"Reciprocal", bind_unary},
    Row{"Abs", bind_unary},
    Row{"Gelu", bind_unary},
    Row{"Clip", bind_clip},
    Row{"Softmax", bind_softmax},
    Row{"LogSoftmax", bind_softmax},
    Row{"LayerNorm", bind_layer_norm},
    Row{"BatchNorm", bind_batch_norm},
    Row{"Conv", bind_conv},
    Row{"MaxPool", bind_max_pool},
    Row{"AveragePool", bind_average_pool},
    Row{"ReduceSum", bind_reduce},
    Row{"ReduceMean", bind_reduce},
    Row{"Reshape", bind_reshape},
    Row{"Transpose", bind_transpose},
    Row{"Expand", bind_expand},
    Row{"Slice", bind_slice},
    Row{"Concat", bind_concat},
    Row{"Split", bind_split},
    Row{"Gather", bind_gather},
    Row{"Cast", bind_cast},
    Row{"Dropout", bind_dropout},
    Row{"Attention", bind_attention},
    Row{"PackedAttention", bind_packed_attention},
    Row{"CrossEntropy", bind_cross_entropy},
    Row{"CrossEntropyStats", bind_cross_entropy_stats},
    Row{"CrossEntropyMerge", bind_cross_entropy_merge},
    Row{"MeanSquaredError", bind_mean_squared_error},
    Row{"WeightedLoss", bind_weighted_loss},
    Row{"ReluGrad", bind_output_grad},
    Row{"TanhGrad", bind_output_grad},
    Row{"SigmoidGrad", bind_output_grad},
    Row{"GeluGrad", bind_gelu_grad},
    Row{"ClipGrad", bind_clip_grad},
    Row{"SoftmaxGrad", bind_softmax_grad},
    Row{"LogSoftmaxGrad", bind_softmax_grad},
    Row{"LayerNormGrad", bind_layer_norm_grad},
    Row{"LayerNormParamGrad", bind_layer_norm_param_grad},
    Row{"BatchNormGrad", bind_batch_norm_grad},
    Row{"ConvInputGrad", bind_conv_input_grad},
    Row{"ConvWeightGrad", bind_conv_weight_grad},
    Row{"MaxPoolGrad", bind_max_pool_grad},
    Row{"AveragePoolGrad", bind_average_pool_grad},
    Row{"SumTo", bind_sum_to},
    Row{"SliceGrad", bind_slice_grad},
    Row{"GatherGrad", bind_gather_grad},
    Row{"AttentionGrad", bind_attention_grad},
    Row{"PackedAttentionGrad", bind_packed_attention_grad},
    Row{"DropoutGrad", bind_dropout},
    Row{"CrossEntropyGrad", bind_cross_entropy_grad},
    Row{"MeanSquaredErrorGrad", bind_mean_squared_error_grad},
    Row{"WeightedLossGrad", bind_weighted_loss_grad},
    Row{"ShardSlice", bind_shard_slice},
    Row{"ShardMerge", bind_shard_merge},
};

}  // namespace

Kernel bind_kernel(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, const KernelContext& context, const Queue& queue) {
  DML_ASSERT(inputs.size() == node.inputs.size() && outputs.size() == node.outputs.size(), node.name);
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.operation == node.op->name; });
  if (row == kRows.end()) {
    throw ModelError(fmt::format("{}: CUDA has no kernel of {}", node.name, node.op->name));
  }
  return row->bind({{graph, node, inputs, outputs, context}, queue});
}

std::span<const std::string_view> operations() {
  static const auto names = [] {
    std::array<std::string_view, kRows.size()> listed;
    std::transform(kRows.begin(), kRows.end(), listed.begin(), [](const Row& row) { return row.operation; });
    return listed;
  }();
  return names;
}

}  // namespace dml::cuda
