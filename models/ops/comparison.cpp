// Comparisons and logic, which no gradient passes, and Where, whose gradient goes to the chosen side.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

Outputs infer_comparison(const Graph& graph, const Node& node) {
  const Value& a = rules::input(graph, node, 0);
  const Value& b = rules::input(graph, node, 1);
  rules::require_type(graph, node, 1, a.dtype);
  return {{DataType::boolean, broadcast(a.shape, b.shape)}};
}

Outputs infer_logic(const Graph& graph, const Node& node) {
  rules::require_type(graph, node, 0, DataType::boolean);
  return infer_comparison(graph, node);
}

Outputs infer_not(const Graph& graph, const Node& node) {
  rules::require_type(graph, node, 0, DataType::boolean);
  return rules::as_first(graph, node);
}

Outputs infer_where(const Graph& graph, const Node& node) {
  rules::require_type(graph, node, 0, DataType::boolean);
  const Value& a = rules::input(graph, node, 1);
  rules::require_type(graph, node, 2, a.dtype);
  const Shape y = broadcast(broadcast(rules::shape(graph, node, 0), a.shape), rules::shape(graph, node, 2));
  return {{a.dtype, y}};
}

void where_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  const ValueId condition = node.inputs[0];
  if (!builder.wanted[1] && !builder.wanted[2]) return;
  const ValueId zero = builder.constant(0);
  if (builder.wanted[1]) {
    const ValueId da = builder.add("Where", {condition, dy, zero}, {}, builder.phase_of(1));
    builder.input_grads[1] = builder.reduced_to(da, 1);
  }
  if (builder.wanted[2]) {
    const ValueId db = builder.add("Where", {condition, zero, dy}, {}, builder.phase_of(2));
    builder.input_grads[2] = builder.reduced_to(db, 2);
  }
}

constexpr OpDef comparison(std::string_view name) {
  return {.name = name, .min_inputs = 2, .max_inputs = 2, .infer = infer_comparison};
}

constexpr OpDef kOps[] = {
    comparison("Equal"),
    comparison("Less"),
    comparison("LessOrEqual"),
    comparison("Greater"),
    comparison("GreaterOrEqual"),
    {.name = "And", .min_inputs = 2, .max_inputs = 2, .infer = infer_logic},
    {.name = "Or", .min_inputs = 2, .max_inputs = 2, .infer = infer_logic},
    {.name = "Not", .infer = infer_not},
    {.name = "Where", .min_inputs = 3, .max_inputs = 3, .infer = infer_where, .gradient = where_gradient},
};

}  // namespace

std::span<const OpDef> comparison_ops() { return kOps; }

}  // namespace dml
