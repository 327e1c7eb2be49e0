// MatMul. Its gradients are MatMul nodes again, with transpose flags: no transposed copy is ever made. And products
// that do more, which only parallel/tensor/epilogues.h makes.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

// y[.., M, N] = op(a)[.., M, K] op(b)[.., K, N]
struct Extents {
  bool trans_a, trans_b;
  std::int64_t m, k_of_a, k_of_b, n;
};

Extents extents_of(const Graph& graph, const Node& node) {
  const Shape& a = rules::shape(graph, node, 0);
  const Shape& b = rules::shape(graph, node, 1);
  if (a.rank() < 2 || b.rank() < 2) {
    rules::fail(node, "rank below 2: a is " + a.to_string() + ", b is " + b.to_string());
  }
  Extents result{};
  result.trans_a = node.attrs.integer("trans_a") != 0;
  result.trans_b = node.attrs.integer("trans_b") != 0;
  result.m = a[a.rank() - (result.trans_a ? 1 : 2)];
  result.k_of_a = a[a.rank() - (result.trans_a ? 2 : 1)];
  result.k_of_b = b[b.rank() - (result.trans_b ? 1 : 2)];
  result.n = b[b.rank() - (result.trans_b ? 2 : 1)];
  return result;
}

Shape leading(const Shape& shape) { return Shape(std::span(shape.begin(), shape.end() - 2)); }

Outputs infer(const Graph& graph, const Node& node) {
  const Extents e = extents_of(graph, node);
  const Shape& a = rules::shape(graph, node, 0);
  const Shape& b = rules::shape(graph, node, 1);
  rules::require_float(graph, node, 0);
  rules::require_type(graph, node, 1, rules::input(graph, node, 0).dtype);
  if (e.k_of_a != e.k_of_b) {
    rules::fail(node, "K differs: a is " + a.to_string() + (e.trans_a ? " transposed" : "") + ", b is " +
                          b.to_string() + (e.trans_b ? " transposed" : ""));
  }
  Shape y = broadcast(leading(a), leading(b));
  y.push_back(e.m);
  y.push_back(e.n);
  if (rules::has_input(node, 2) && rules::shape(graph, node, 2) != Shape{e.n}) {
    rules::fail(node, "bias is " + rules::shape(graph, node, 2).to_string() + ", y is " + y.to_string());
  }
  return {{rules::input(graph, node, 0).dtype, y}};
}

double flops(const Graph& graph, const Node& node) {
  const Extents e = extents_of(graph, node);
  const auto rows_and_columns = static_cast<double>(graph.shape(node.outputs[0]).num_elements());
  const double per_element = 2.0 * static_cast<double>(e.k_of_a) + (rules::has_input(node, 2) ? 1 : 0);
  return rows_and_columns * per_element;
}

Attributes product(const Node& node, bool trans_a, bool trans_b) {
  Attributes attrs;
  if (trans_a) attrs.set("trans_a", std::int64_t{1});
  if (trans_b) attrs.set("trans_b", std::int64_t{1});
  if (node.attrs.has("alpha")) attrs.set("alpha", node.attrs.real("alpha", 1));
  return attrs;
}

/// `x` as a matrix of its last dim's width.
ValueId flattened(GradientBuilder& builder, ValueId x, Phase phase) {
  const Shape shape = builder.graph.shape(x);
  if (shape.rank() == 2) return x;
  const std::vector<std::int64_t> matrix{shape.product(0, shape.rank() - 1), shape.back()};
  return builder.add("Reshape", {x}, Attributes().set("shape", matrix), phase);
}

void gradient_of_a(GradientBuilder& builder, const Node& node, ValueId dy) {
  const Extents e = extents_of(builder.graph, node);
  const ValueId b = node.inputs[1];
  const Phase phase = builder.phase_of(0);
  const ValueId da = e.trans_a ? builder.add("MatMul", {b, dy}, product(node, e.trans_b, true), phase)
                               : builder.add("MatMul", {dy, b}, product(node, false, !e.trans_b), phase);
  builder.input_grads[0] = builder.reduced_to(da, 0);
}

// A matrix b that multiplies many rows of a: all rows are one product, and nothing is left to be summed.
void gradient_of_b(GradientBuilder& builder, const Node& node, ValueId dy) {
  const Extents e = extents_of(builder.graph, node);
  const Phase phase = builder.phase_of(1);
  ValueId a = node.inputs[0];
  if (builder.graph.shape(node.inputs[1]).rank() == 2 && !e.trans_a) {
    a = flattened(builder, a, phase);
    dy = flattened(builder, dy, phase);
  }
  const ValueId db = e.trans_b ? builder.add("MatMul", {dy, a}, product(node, true, e.trans_a), phase)
                               : builder.add("MatMul", {a, dy}, product(node, !e.trans_a, false), phase);
  builder.input_grads[1] = builder.reduced_to(db, 1);
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  if (builder.wanted[0]) gradient_of_a(builder, node, dy);
  if (builder.wanted[1]) gradient_of_b(builder, node, dy);
  if (rules::has_input(node, 2) && builder.wanted[2]) builder.input_grads[2] = builder.reduced_to(dy, 2);
}

// x[R, K] and dy[R, N] of y = x w + b.
Outputs infer_param_grad(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const Shape& dy = rules::shape(graph, node, 1);
  rules::require_float(graph, node, 0);
  rules::require_type(graph, node, 1, x.dtype);
  if (x.shape.rank() != 2 || dy.rank() != 2 || x.shape[0] != dy[0])
    rules::fail(node, "x is " + x.shape.to_string() + ", dy is " + dy.to_string() + ", wants matrices of as many rows");
  const bool trans_b = node.attrs.integer("trans_b") != 0;
  return {{x.dtype, trans_b ? Shape{dy[1], x.shape[1]} : Shape{x.shape[1], dy[1]}}, {x.dtype, Shape{dy[1]}}};
}

/// y as x w, which is [.., R, N], with a matrix w.
Outputs infer_linear(const Graph& graph, const Node& node) {
  if (rules::shape(graph, node, 1).rank() != 2) rules::fail(node, "w is " + rules::shape(graph, node, 1).to_string());
  return infer(graph, node);
}

Outputs infer_linear_gelu(const Graph& graph, const Node& node) {
  const TypedShape y = infer_linear(graph, node).front();
  return {y, y};
}

Outputs infer_linear_gelu_grad(const Graph& graph, const Node& node) {
  Node product = node;
  product.inputs.pop_back();
  Outputs dpre = infer_linear(graph, product);
  if (rules::shape(graph, node, 2) != dpre[0].shape)
    rules::fail(node, "pre is " + rules::shape(graph, node, 2).to_string() + ", dy w is " + dpre[0].shape.to_string());
  return dpre;
}

/// With what the unary family counts for GELU or its gradient.
template <int kPerElement>
double linear_gelu_flops(const Graph& graph, const Node& node) {
  return flops(graph, node) + kPerElement * static_cast<double>(graph.shape(node.outputs[0]).num_elements());
}

double param_grad_flops(const Graph& graph, const Node& node) {
  const auto k = static_cast<double>(rules::shape(graph, node, 0)[1]);
  return (2 * k + 1) * static_cast<double>(rules::shape(graph, node, 1).num_elements());
}

constexpr OpDef kOps[] = {
    {.name = "MatMul", .min_inputs = 2, .max_inputs = 3, .infer = infer, .gradient = gradient, .flops = flops},
    {.name = "LinearGelu",
     .min_inputs = 3,
     .max_inputs = 3,
     .num_outputs = 2,
     .infer = infer_linear_gelu,
     .flops = linear_gelu_flops<10>},
    {.name = "LinearGeluGrad",
     .min_inputs = 3,
     .max_inputs = 3,
     .infer = infer_linear_gelu_grad,
     .flops = linear_gelu_flops<15>},  // 16, of which the product's rule counts one, as for a bias
    {.name = "LinearParamGrad",
     .min_inputs = 2,
     .max_inputs = 2,
     .num_outputs = 2,
     .infer = infer_param_grad,
     .flops = param_grad_flops},
};

}  // namespace

std::span<const OpDef> matmul_ops() { return kOps; }

}  // namespace dml
