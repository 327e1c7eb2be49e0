// MaxPool, which remembers where each maximum was, and AveragePool.
#include "models/ops/families.h"
#include "models/ops/window.h"

namespace dml {
namespace {

using rules::Outputs;

Shape output_shape(const Node& node, const Shape& x) {
  const auto window = rules::window_of(node, x, node.attrs.integers("kernel"));
  return rules::slid_over(node, window, x, x[1]);
}

Outputs infer_max(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 0);
  const Shape y = output_shape(node, x.shape);
  return {{x.dtype, y}, {DataType::i32, y}};
}

Outputs infer_average(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 0);
  return {{x.dtype, output_shape(node, x.shape)}};
}

Outputs infer_max_grad(const Graph& graph, const Node& node) {
  rules::require_same_shape(graph, node, 0, 1);
  rules::require_type(graph, node, 1, DataType::i32);
  return rules::as_attribute(graph, node);
}

Outputs infer_average_grad(const Graph& graph, const Node& node) {
  const Shape& dy = rules::shape(graph, node, 0);
  const Shape y = output_shape(node, rules::shape_attribute(node));
  if (dy != y) rules::fail(node, "dy is " + dy.to_string() + ", y is " + y.to_string());
  return rules::as_attribute(graph, node);
}

void max_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (dy == kNone) return;
  Attributes attrs = node.attrs;
  attrs.set("shape", builder.graph.shape(node.inputs[0]).to_vector());
  builder.input_grads[0] = builder.add("MaxPoolGrad", {dy, node.outputs[1]}, attrs, builder.phase_of(0));
}

void average_gradient(GradientBuilder& builder, const Node& node) {
  Attributes attrs = node.attrs;
  attrs.set("shape", builder.graph.shape(node.inputs[0]).to_vector());
  builder.input_grads[0] = builder.add("AveragePoolGrad", {builder.output_grads[0]}, attrs, builder.phase_of(0));
}

// One operation per element under each place of the window.
template <bool is_gradient>
double flops(const Graph& graph, const Node& node) {
  const ValueId small = is_gradient ? node.inputs[0] : node.outputs[0];
  double result = static_cast<double>(graph.shape(small).num_elements());
  for (const std::int64_t extent : node.attrs.integers("kernel")) result *= static_cast<double>(extent);
  return result;
}

constexpr OpDef kOps[] = {
    {.name = "MaxPool", .num_outputs = 2, .infer = infer_max, .gradient = max_gradient, .flops = flops<false>},
    {.name = "AveragePool", .infer = infer_average, .gradient = average_gradient, .flops = flops<false>},
    {.name = "MaxPoolGrad", .min_inputs = 2, .max_inputs = 2, .infer = infer_max_grad, .flops = rules::per_input<1>},
    {.name = "AveragePoolGrad", .infer = infer_average_grad, .flops = flops<true>},
};

}  // namespace

std::span<const OpDef> pooling_ops() { return kOps; }

}  // namespace dml
