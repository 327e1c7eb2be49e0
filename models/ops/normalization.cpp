// LayerNorm and BatchNorm. The gradients of LayerNorm's parameters are a node of their own, in the weight phase.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

Shape outer_dims(const Shape& shape, int axis) { return Shape(std::span(shape.begin(), shape.begin() + axis)); }
Shape inner_dims(const Shape& shape, int axis) { return Shape(std::span(shape.begin() + axis, shape.end())); }

void require_shape(const Graph& graph, const Node& node, int index, const Shape& wanted) {
  const Shape& found = rules::shape(graph, node, index);
  if (found == wanted) return;
  rules::fail(node, "input " + std::to_string(index) + " is " + found.to_string() + ", wants " + wanted.to_string() +
                        " for x " + rules::shape(graph, node, 0).to_string());
}

Outputs infer_layer_norm(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 0);
  const int axis = rules::axis_of(node, x.shape);
  require_shape(graph, node, 1, inner_dims(x.shape, axis));
  if (rules::has_input(node, 2)) require_shape(graph, node, 2, inner_dims(x.shape, axis));
  const TypedShape statistic{DataType::f32, outer_dims(x.shape, axis)};
  return {{x.dtype, x.shape}, statistic, statistic};
}

void layer_norm_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (dy == kNone) return;
  const ValueId x = node.inputs[0];
  const Attributes attrs = Attributes().set("axis", node.attrs.integer("axis", -1));
  if (builder.wanted[0]) {
    builder.input_grads[0] = builder.add("LayerNormGrad", {dy, x, node.inputs[1], node.outputs[1], node.outputs[2]},
                                         attrs, builder.phase_of(0));
  }
  const bool wants_bias = rules::has_input(node, 2) && builder.wanted[2];
  if (!builder.wanted[1] && !wants_bias) return;
  const auto grads = builder.add_all("LayerNormParamGrad", {dy, x, node.outputs[1], node.outputs[2]}, attrs,
                                     builder.phase_of(builder.wanted[1] ? 1 : 2));
  if (builder.wanted[1]) builder.input_grads[1] = grads[0];
  if (wants_bias) builder.input_grads[2] = grads[1];
}

Outputs infer_layer_norm_grad(const Graph& graph, const Node& node) {
  rules::require_same_shape(graph, node, 0, 1);
  const Shape& x = rules::shape(graph, node, 1);
  const int axis = rules::axis_of(node, x);
  require_shape(graph, node, 2, inner_dims(x, axis));
  require_shape(graph, node, 3, outer_dims(x, axis));
  require_shape(graph, node, 4, outer_dims(x, axis));
  return rules::as_first_float(graph, node);
}

Outputs infer_layer_norm_param_grad(const Graph& graph, const Node& node) {
  rules::require_same_shape(graph, node, 0, 1);
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 1);
  const int axis = rules::axis_of(node, x.shape);
  require_shape(graph, node, 2, outer_dims(x.shape, axis));
  require_shape(graph, node, 3, outer_dims(x.shape, axis));
  const TypedShape parameter{x.dtype, inner_dims(x.shape, axis)};
  return {parameter, parameter};
}

Shape channels_of(const Graph& graph, const Node& node, int index) {
  const Shape& x = rules::shape(graph, node, index);
  rules::require(x.rank() >= 2, node, "x is " + x.to_string() + ", wants a batch and channels");
  return Shape{x[1]};
}

Outputs infer_batch_norm(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 0);
  const Shape channels = channels_of(graph, node, 0);
  for (int index = 1; index < 5; ++index) require_shape(graph, node, index, channels);
  const TypedShape statistic{DataType::f32, channels};
  return {{x.dtype, x.shape}, statistic, statistic, statistic, statistic};
}

void batch_norm_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (dy == kNone) return;
  const auto grads = builder.add_all(
      "BatchNormGrad", {dy, node.inputs[0], node.inputs[1], node.outputs[1], node.outputs[2]}, {}, Phase::input_grad);
  for (std::size_t i = 0; i < 3; ++i) {
    if (builder.wanted[i]) builder.input_grads[i] = grads[i];
  }
}

Outputs infer_batch_norm_grad(const Graph& graph, const Node& node) {
  rules::require_same_shape(graph, node, 0, 1);
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 1);
  const Shape channels = channels_of(graph, node, 1);
  for (int index = 2; index < 5; ++index) require_shape(graph, node, index, channels);
  const TypedShape parameter{x.dtype, channels};
  return {{x.dtype, x.shape}, parameter, parameter};
}

constexpr OpDef kOps[] = {
    {.name = "LayerNorm",
     .min_inputs = 2,
     .max_inputs = 3,
     .num_outputs = 3,
     .infer = infer_layer_norm,
     .gradient = layer_norm_gradient,
     .flops = rules::per_output<8>},
    {.name = "BatchNorm",
     .min_inputs = 5,
     .max_inputs = 5,
     .num_outputs = 5,
     .infer = infer_batch_norm,
     .gradient = batch_norm_gradient,
     .flops = rules::per_output<8>},
    {.name = "LayerNormGrad",
     .min_inputs = 5,
     .max_inputs = 5,
     .infer = infer_layer_norm_grad,
     .flops = rules::per_output<11>},
    {.name = "LayerNormParamGrad",
     .min_inputs = 4,
     .max_inputs = 4,
     .num_outputs = 2,
     .infer = infer_layer_norm_param_grad,
     .flops = rules::per_input<5>},
    {.name = "BatchNormGrad",
     .min_inputs = 5,
     .max_inputs = 5,
     .num_outputs = 3,
     .infer = infer_batch_norm_grad,
     .flops = rules::per_output<11>},
};

}  // namespace

std::span<const OpDef> normalization_ops() { return kOps; }

}  // namespace dml
