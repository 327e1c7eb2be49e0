// ReduceSum and ReduceMean. Absent axes mean all dims.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

std::vector<bool> reduced_dims(const Node& node, const Shape& x) {
  const auto axes = node.attrs.integers("axes");
  std::vector<bool> reduced(static_cast<std::size_t>(x.rank()), !node.attrs.has("axes"));
  for (const std::int64_t axis : axes) reduced[static_cast<std::size_t>(x.normalize(axis))] = true;
  return reduced;
}

Shape reduced_shape(const Node& node, const Shape& x, bool keeps_dims) {
  const auto reduced = reduced_dims(node, x);
  Shape y;
  for (int dim = 0; dim < x.rank(); ++dim) {
    if (!reduced[static_cast<std::size_t>(dim)]) {
      y.push_back(x[dim]);
    } else if (keeps_dims) {
      y.push_back(1);
    }
  }
  return y;
}

rules::Outputs infer(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Value& x = rules::input(graph, node, 0);
  return {{x.dtype, reduced_shape(node, x.shape, node.attrs.integer("keepdims", 1) != 0)}};
}

// dy gets its reduced dims back as 1, then is broadcast.
ValueId spread(GradientBuilder& builder, const Node& node, ValueId dy) {
  const Shape x = builder.graph.shape(node.inputs[0]);
  const Shape kept = reduced_shape(node, x, true);
  if (builder.graph.shape(dy) != kept) {
    dy = builder.add("Reshape", {dy}, Attributes().set("shape", kept.to_vector()), builder.phase_of(0));
  }
  return builder.add("Expand", {dy}, Attributes().set("shape", x.to_vector()), builder.phase_of(0));
}

void sum_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = spread(builder, node, builder.output_grads[0]);
}

void mean_gradient(GradientBuilder& builder, const Node& node) {
  const Shape x = builder.graph.shape(node.inputs[0]);
  const auto ratio = static_cast<float>(static_cast<double>(reduced_shape(node, x, true).num_elements()) /
                                        static_cast<double>(x.num_elements()));
  const ValueId part = builder.add("Mul", {builder.output_grads[0], builder.constant(ratio)}, {}, builder.phase_of(0));
  builder.input_grads[0] = spread(builder, node, part);
}

constexpr OpDef kOps[] = {
    {.name = "ReduceSum", .infer = infer, .gradient = sum_gradient, .flops = rules::per_input<1>},
    {.name = "ReduceMean", .infer = infer, .gradient = mean_gradient, .flops = rules::per_input<1>},
};

}  // namespace

std::span<const OpDef> reduction_ops() { return kOps; }

}  // namespace dml
