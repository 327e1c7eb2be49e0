// Add, Sub, Mul, Div, Pow with NumPy's broadcast, and SumTo, which undoes a broadcast in the backward pass.
#include "models/constants.h"
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

Outputs infer(const Graph& graph, const Node& node) {
  const Value& a = rules::input(graph, node, 0);
  const Value& b = rules::input(graph, node, 1);
  rules::require_type(graph, node, 1, a.dtype);
  rules::require(a.dtype != DataType::boolean, node, "inputs are bool");
  return {{a.dtype, broadcast(a.shape, b.shape)}};
}

void put(GradientBuilder& builder, int index, ValueId gradient) {
  builder.input_grads[static_cast<std::size_t>(index)] = builder.reduced_to(gradient, index);
}

void add_gradient(GradientBuilder& builder, const Node&) {
  for (const int index : {0, 1}) {
    if (builder.wanted[static_cast<std::size_t>(index)]) put(builder, index, builder.output_grads[0]);
  }
}

void sub_gradient(GradientBuilder& builder, const Node&) {
  if (builder.wanted[0]) put(builder, 0, builder.output_grads[0]);
  if (!builder.wanted[1]) return;
  const ValueId sum = builder.reduced_to(builder.output_grads[0], 1);
  builder.input_grads[1] = builder.add("Neg", {sum}, {}, builder.phase_of(1));
}

void mul_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  const ValueId a = node.inputs[0];
  const ValueId b = node.inputs[1];
  if (builder.wanted[0]) put(builder, 0, builder.add("Mul", {dy, b}, {}, builder.phase_of(0)));
  if (builder.wanted[1]) put(builder, 1, builder.add("Mul", {dy, a}, {}, builder.phase_of(1)));
}

// da = dy / b; db = -sum(dy y / b)
void div_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  const ValueId b = node.inputs[1];
  const ValueId y = node.outputs[0];
  if (builder.wanted[0]) put(builder, 0, builder.add("Div", {dy, b}, {}, builder.phase_of(0)));
  if (!builder.wanted[1]) return;
  const Phase phase = builder.phase_of(1);
  const ValueId ratio = builder.add("Div", {y, b}, {}, phase);
  const ValueId sum = builder.reduced_to(builder.add("Mul", {dy, ratio}, {}, phase), 1);
  builder.input_grads[1] = builder.add("Neg", {sum}, {}, phase);
}

// b a^(b-1), without a power where a known exponent needs none
ValueId power_slope(GradientBuilder& builder, ValueId a, ValueId b) {
  const Phase phase = builder.phase_of(0);
  const auto exponent = uniform_value(builder.graph, b);
  if (exponent == 2.0F) return builder.add("Mul", {a, builder.constant(2)}, {}, phase);
  const ValueId below =
      exponent ? builder.constant(*exponent - 1) : builder.add("Sub", {b, builder.constant(1)}, {}, phase);
  return builder.add("Mul", {builder.add("Pow", {a, below}, {}, phase), b}, {}, phase);
}

void pow_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  const ValueId a = node.inputs[0];
  const ValueId b = node.inputs[1];
  const ValueId y = node.outputs[0];
  if (builder.wanted[0]) {
    put(builder, 0, builder.add("Mul", {dy, power_slope(builder, a, b)}, {}, builder.phase_of(0)));
  }
  if (!builder.wanted[1]) return;
  const Phase phase = builder.phase_of(1);
  const ValueId slope = builder.add("Mul", {y, builder.add("Log", {a}, {}, phase)}, {}, phase);
  put(builder, 1, builder.add("Mul", {dy, slope}, {}, phase));
}

Outputs infer_sum_to(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const Shape y = rules::shape_attribute(node);
  if (broadcast(x.shape, y) != x.shape) {
    rules::fail(node, "x " + x.shape.to_string() + " is no broadcast of " + y.to_string());
  }
  return {{x.dtype, y}};
}

void sum_to_gradient(GradientBuilder& builder, const Node& node) {
  const Shape shape = builder.graph.shape(node.inputs[0]);
  builder.input_grads[0] = builder.add("Expand", {builder.output_grads[0]},
                                       Attributes().set("shape", shape.to_vector()), builder.phase_of(0));
}

constexpr OpDef binary(std::string_view name, void (*gradient)(GradientBuilder&, const Node&)) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .gradient = gradient,
          .flops = rules::per_output<1>};
}

constexpr OpDef kOps[] = {
    binary("Add", add_gradient),
    binary("Sub", sub_gradient),
    binary("Mul", mul_gradient),
    binary("Div", div_gradient),
    binary("Pow", pow_gradient),
    {.name = "SumTo", .infer = infer_sum_to, .gradient = sum_to_gradient, .flops = rules::per_input<1>},
};

}  // namespace

std::span<const OpDef> arithmetic_ops() { return kOps; }

}  // namespace dml
