// Gather: rows of a table by index, the embedding of a language model.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

Shape gathered(const Shape& x, int axis, const Shape& indices) {
  Shape y(std::span(x.begin(), x.begin() + axis));
  for (const std::int64_t extent : indices) y.push_back(extent);
  for (int dim = axis + 1; dim < x.rank(); ++dim) y.push_back(x[dim]);
  return y;
}

Outputs infer(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  rules::require_type(graph, node, 1, DataType::i64);
  const int axis = x.shape.normalize(node.attrs.integer("axis", 0));
  return {{x.dtype, gathered(x.shape, axis, rules::shape(graph, node, 1))}};
}

void gradient(GradientBuilder& builder, const Node& node) {
  Attributes attrs = node.attrs;
  attrs.set("shape", builder.graph.shape(node.inputs[0]).to_vector());
  builder.input_grads[0] =
      builder.add("GatherGrad", {builder.output_grads[0], node.inputs[1]}, attrs, builder.phase_of(0));
}

Outputs infer_gradient(const Graph& graph, const Node& node) {
  rules::require_type(graph, node, 1, DataType::i64);
  const Shape x = rules::shape_attribute(node);
  const Shape y = gathered(x, x.normalize(node.attrs.integer("axis", 0)), rules::shape(graph, node, 1));
  const Shape& dy = rules::shape(graph, node, 0);
  if (dy != y) rules::fail(node, "dy is " + dy.to_string() + ", y is " + y.to_string());
  return rules::as_attribute(graph, node);
}

constexpr OpDef kOps[] = {
    {.name = "Gather", .min_inputs = 2, .max_inputs = 2, .infer = infer, .gradient = gradient},
    {.name = "GatherGrad", .min_inputs = 2, .max_inputs = 2, .infer = infer_gradient, .flops = rules::per_input<1>},
};

}  // namespace

std::span<const OpDef> gather_ops() { return kOps; }

}  // namespace dml
