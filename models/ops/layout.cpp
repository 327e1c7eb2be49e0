// Elements that only change their place: Reshape (an alias), Transpose, Expand.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

Outputs infer_reshape(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const Shape y = rules::shape_attribute(node);
  if (y.num_elements() != x.shape.num_elements()) {
    rules::fail(node, "x " + x.shape.to_string() + " has other elements than " + y.to_string());
  }
  return {{x.dtype, y}};
}

void reshape_gradient(GradientBuilder& builder, const Node& node) {
  const auto attrs = Attributes().set("shape", builder.graph.shape(node.inputs[0]).to_vector());
  builder.input_grads[0] = builder.add("Reshape", {builder.output_grads[0]}, attrs, builder.phase_of(0));
}

Outputs infer_transpose(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const auto perm = node.attrs.integers("perm");
  rules::require(static_cast<int>(perm.size()) == x.shape.rank(), node,
                 "perm has " + std::to_string(perm.size()) + " dims, x is " + x.shape.to_string());
  Shape y;
  std::vector<bool> seen(perm.size(), false);
  for (const std::int64_t dim : perm) {
    const auto from = static_cast<std::size_t>(x.shape.normalize(dim));
    rules::require(!seen[from], node, "perm names dim " + std::to_string(dim) + " twice");
    seen[from] = true;
    y.push_back(x.shape[static_cast<int>(from)]);
  }
  return {{x.dtype, y}};
}

void transpose_gradient(GradientBuilder& builder, const Node& node) {
  const auto perm = node.attrs.integers("perm");
  std::vector<std::int64_t> inverse(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) {
    inverse[static_cast<std::size_t>(builder.graph.shape(node.inputs[0]).normalize(perm[i]))] =
        static_cast<std::int64_t>(i);
  }
  builder.input_grads[0] =
      builder.add("Transpose", {builder.output_grads[0]}, Attributes().set("perm", inverse), builder.phase_of(0));
}

Outputs infer_expand(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const Shape y = rules::shape_attribute(node);
  if (broadcast(x.shape, y) != y) {
    rules::fail(node, "x " + x.shape.to_string() + " is not broadcast to " + y.to_string());
  }
  return {{x.dtype, y}};
}

void expand_gradient(GradientBuilder& builder, const Node&) {
  builder.input_grads[0] = builder.reduced_to(builder.output_grads[0], 0);
}

constexpr OpDef kOps[] = {
    {.name = "Reshape", .infer = infer_reshape, .gradient = reshape_gradient, .is_alias = true},
    {.name = "Transpose", .infer = infer_transpose, .gradient = transpose_gradient},
    {.name = "Expand", .infer = infer_expand, .gradient = expand_gradient},
};

}  // namespace

std::span<const OpDef> layout_ops() { return kOps; }

}  // namespace dml
