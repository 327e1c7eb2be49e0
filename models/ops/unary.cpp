// One tensor in, one of the same shape out; of floats, unless the operation takes more. Gradients use the output where
// that saves keeping the input.
#include <cmath>
#include <numbers>

#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

ValueId scaled(GradientBuilder& builder, ValueId x, double factor) {
  return builder.add("Mul", {x, builder.constant(static_cast<float>(factor))}, {}, builder.phase_of(0));
}

ValueId apply(GradientBuilder& builder, std::string_view op, std::vector<ValueId> inputs) {
  return builder.add(op, std::move(inputs), {}, builder.phase_of(0));
}

void relu_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = apply(builder, "ReluGrad", {builder.output_grads[0], node.outputs[0]});
}

void sigmoid_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = apply(builder, "SigmoidGrad", {builder.output_grads[0], node.outputs[0]});
}

void tanh_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = apply(builder, "TanhGrad", {builder.output_grads[0], node.outputs[0]});
}

// 2 / sqrt(pi) exp(-x^2)
void erf_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId x = node.inputs[0];
  const ValueId bell = apply(builder, "Exp", {apply(builder, "Neg", {apply(builder, "Mul", {x, x})})});
  const ValueId slope = scaled(builder, bell, 2 * std::numbers::inv_sqrtpi);
  builder.input_grads[0] = apply(builder, "Mul", {builder.output_grads[0], slope});
}

void exp_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = apply(builder, "Mul", {builder.output_grads[0], node.outputs[0]});
}

void log_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = apply(builder, "Div", {builder.output_grads[0], node.inputs[0]});
}

void sqrt_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = apply(builder, "Div", {scaled(builder, builder.output_grads[0], 0.5), node.outputs[0]});
}

void neg_gradient(GradientBuilder& builder, const Node&) {
  builder.input_grads[0] = apply(builder, "Neg", {builder.output_grads[0]});
}

void reciprocal_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId y = node.outputs[0];
  const ValueId dy = apply(builder, "Neg", {builder.output_grads[0]});
  builder.input_grads[0] = apply(builder, "Mul", {dy, apply(builder, "Mul", {y, y})});
}

// the sign of x, with 0 at 0 as PyTorch has it
void abs_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId x = node.inputs[0];
  const ValueId dy = builder.output_grads[0];
  const ValueId zero = builder.constant(0);
  const ValueId negative = apply(builder, "Less", {x, zero});
  const ValueId positive = apply(builder, "Greater", {x, zero});
  const ValueId below = apply(builder, "Where", {negative, apply(builder, "Neg", {dy}), zero});
  builder.input_grads[0] = apply(builder, "Where", {positive, dy, below});
}

void gelu_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] =
      builder.add("GeluGrad", {builder.output_grads[0], node.inputs[0]}, node.attrs, builder.phase_of(0));
}

void clip_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] =
      builder.add("ClipGrad", {builder.output_grads[0], node.inputs[0]}, node.attrs, builder.phase_of(0));
}

rules::Outputs infer_gelu(const Graph& graph, const Node& node) {
  const std::string& form = node.attrs.text("approximate");
  if (form != "none" && form != "tanh") rules::fail(node, "approximate is '" + form + "', wants none or tanh");
  return rules::as_first_float(graph, node);
}

rules::Outputs infer_number(const Graph& graph, const Node& node) {
  rules::require(rules::input(graph, node, 0).dtype != DataType::boolean, node, "x is bool");
  return rules::as_first(graph, node);
}

rules::Outputs infer_cast(const Graph& graph, const Node& node) {
  const std::string& to = node.attrs.text("to");
  for (const DataType type : {DataType::f32, DataType::f64, DataType::f16, DataType::bf16, DataType::i64, DataType::i32,
                              DataType::u8, DataType::boolean}) {
    if (name_of(type) == to) return {{type, rules::shape(graph, node, 0)}};
  }
  rules::fail(node, "to is '" + to + "', which is no type");
}

void cast_gradient(GradientBuilder& builder, const Node& node) {
  const DataType from = builder.graph.value(node.inputs[0]).dtype;
  if (!is_float(from) || !is_float(builder.graph.value(node.outputs[0]).dtype)) return;
  builder.input_grads[0] = builder.add("Cast", {builder.output_grads[0]},
                                       Attributes().set("to", std::string(name_of(from))), builder.phase_of(0));
}

constexpr OpDef unary(std::string_view name, void (*gradient)(GradientBuilder&, const Node&),
                      double (*flops)(const Graph&, const Node&) = rules::per_output<1>) {
  return {.name = name, .infer = rules::as_first_float, .gradient = gradient, .flops = flops};
}

constexpr OpDef gradient_op(std::string_view name, double (*flops)(const Graph&, const Node&)) {
  return {.name = name, .min_inputs = 2, .max_inputs = 2, .infer = rules::as_both, .flops = flops};
}

constexpr OpDef kOps[] = {
    unary("Relu", relu_gradient),
    unary("Sigmoid", sigmoid_gradient, rules::per_output<4>),
    unary("Tanh", tanh_gradient, rules::per_output<4>),
    unary("Erf", erf_gradient, rules::per_output<8>),
    unary("Exp", exp_gradient, rules::per_output<4>),
    unary("Log", log_gradient, rules::per_output<4>),
    unary("Sqrt", sqrt_gradient),
    {.name = "Neg", .infer = infer_number, .gradient = neg_gradient, .flops = rules::per_output<1>},
    unary("Reciprocal", reciprocal_gradient),
    {.name = "Abs", .infer = infer_number, .gradient = abs_gradient, .flops = rules::per_output<1>},
    {.name = "Gelu", .infer = infer_gelu, .gradient = gelu_gradient, .flops = rules::per_output<10>},
    unary("Clip", clip_gradient),
    {.name = "Cast", .infer = infer_cast, .gradient = cast_gradient},
    gradient_op("ReluGrad", rules::per_output<1>),
    gradient_op("SigmoidGrad", rules::per_output<3>),
    gradient_op("TanhGrad", rules::per_output<3>),
    gradient_op("GeluGrad", rules::per_output<16>),
    gradient_op("ClipGrad", rules::per_output<1>),
};

}  // namespace

std::span<const OpDef> unary_ops() { return kOps; }

}  // namespace dml
