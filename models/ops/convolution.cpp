// Conv with one or two spatial dims: x[N, C, ..], w[O, C/group, ..], y[N, O, ..].
#include "models/ops/families.h"
#include "models/ops/window.h"

namespace dml {
namespace {

using rules::Outputs;

Shape output_shape(const Node& node, const Shape& x, const Shape& w) {
  const std::string both = "x is " + x.to_string() + ", w is " + w.to_string();
  rules::require(w.rank() == x.rank() && w.rank() >= 3, node, "ranks differ: " + both);
  const std::int64_t group = node.attrs.integer("group", 1);
  rules::require(group >= 1 && x[1] == w[1] * group && w[0] % group == 0, node,
                 "channels differ: " + both + ", group " + std::to_string(group));
  const auto window = rules::window_of(node, x, std::span(w.begin() + 2, w.end()));
  return rules::slid_over(node, window, x, w[0]);
}

Outputs infer(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 0);
  rules::require_type(graph, node, 1, x.dtype);
  const Shape& w = rules::shape(graph, node, 1);
  if (rules::has_input(node, 2) && rules::shape(graph, node, 2) != Shape{w[0]}) {
    rules::fail(node, "bias is " + rules::shape(graph, node, 2).to_string() + ", w is " + w.to_string());
  }
  return {{x.dtype, output_shape(node, x.shape, w)}};
}

// Every element of y takes one product with each weight of its channel.
double products(const Shape& y, const Shape& w) {
  return 2.0 * static_cast<double>(y.num_elements()) * static_cast<double>(w.product(1, w.rank()));
}

double flops(const Graph& graph, const Node& node) {
  return products(graph.shape(node.outputs[0]), graph.shape(node.inputs[1]));
}

double input_grad_flops(const Graph& graph, const Node& node) {
  return products(graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
}

double weight_grad_flops(const Graph& graph, const Node& node) {
  return products(graph.shape(node.inputs[0]), graph.shape(node.outputs[0]));
}

void require_dy(const Graph& graph, const Node& node, const Shape& x, const Shape& w) {
  const Shape& dy = rules::shape(graph, node, 0);
  const Shape y = output_shape(node, x, w);
  if (dy != y) rules::fail(node, "dy is " + dy.to_string() + ", y is " + y.to_string());
}

Outputs infer_input_grad(const Graph& graph, const Node& node) {
  require_dy(graph, node, rules::shape_attribute(node), rules::shape(graph, node, 1));
  return rules::as_attribute(graph, node);
}

Outputs infer_weight_grad(const Graph& graph, const Node& node) {
  require_dy(graph, node, rules::shape(graph, node, 1), rules::shape_attribute(node));
  return rules::as_attribute(graph, node);
}

Attributes with_shape(const GradientBuilder& builder, const Node& node, std::size_t index) {
  Attributes attrs = node.attrs;
  return attrs.set("shape", builder.graph.shape(node.inputs[index]).to_vector());
}

ValueId bias_gradient(GradientBuilder& builder, ValueId dy) {
  std::vector<std::int64_t> axes;
  for (int dim = 0; dim < builder.graph.shape(dy).rank(); ++dim) {
    if (dim != 1) axes.push_back(dim);
  }
  const auto attrs = Attributes().set("axes", axes).set("keepdims", std::int64_t{0});
  return builder.add("ReduceSum", {dy}, attrs, builder.phase_of(2));
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (builder.wanted[0]) {
    builder.input_grads[0] =
        builder.add("ConvInputGrad", {dy, node.inputs[1]}, with_shape(builder, node, 0), builder.phase_of(0));
  }
  if (builder.wanted[1]) {
    builder.input_grads[1] =
        builder.add("ConvWeightGrad", {dy, node.inputs[0]}, with_shape(builder, node, 1), builder.phase_of(1));
  }
  if (rules::has_input(node, 2) && builder.wanted[2]) builder.input_grads[2] = bias_gradient(builder, dy);
}

constexpr OpDef kOps[] = {
    {.name = "Conv", .min_inputs = 2, .max_inputs = 3, .infer = infer, .gradient = gradient, .flops = flops},
    {.name = "ConvInputGrad", .min_inputs = 2, .max_inputs = 2, .infer = infer_input_grad, .flops = input_grad_flops},
    {.name = "ConvWeightGrad",
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_weight_grad,
     .flops = weight_grad_flops},
};

}  // namespace

std::span<const OpDef> convolution_ops() { return kOps; }

}  // namespace dml
