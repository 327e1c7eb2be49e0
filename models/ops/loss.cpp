// Losses. Each is a sum over this microbatch times StepState::loss_scale; its gradient has that factor already, so it
// takes no dy.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

const TypedShape kScalar{DataType::f32, {}};

Shape rows_of(const Shape& logits) { return Shape(std::span(logits.begin(), logits.end() - 1)); }

void check_labels(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  rules::require_type(graph, node, 1, DataType::i64);
  const Shape& logits = rules::shape(graph, node, 0);
  const Shape& labels = rules::shape(graph, node, 1);
  if (logits.rank() < 1 || labels != rows_of(logits)) {
    rules::fail(node, "logits are " + logits.to_string() + ", labels are " + labels.to_string());
  }
}

Outputs infer_cross_entropy(const Graph& graph, const Node& node) {
  check_labels(graph, node);
  return {kScalar, {DataType::f32, rules::shape(graph, node, 1)}};
}

Outputs infer_stats(const Graph& graph, const Node& node) {
  check_labels(graph, node);
  Shape stats = rules::shape(graph, node, 1);
  stats.push_back(3);
  return {{DataType::f32, stats}};
}

Outputs infer_merge(const Graph& graph, const Node& node) {
  rules::require_type(graph, node, 1, DataType::i64);
  const Shape& stats = rules::shape(graph, node, 0);
  const Shape& labels = rules::shape(graph, node, 1);
  const bool fits = stats.rank() == labels.rank() + 2 && stats.back() == 3 &&
                    Shape(std::span(stats.begin() + 1, stats.end() - 1)) == labels;
  if (!fits) rules::fail(node, "stats are " + stats.to_string() + ", labels are " + labels.to_string());
  return {kScalar, {DataType::f32, labels}};
}

Outputs infer_cross_entropy_grad(const Graph& graph, const Node& node) {
  check_labels(graph, node);
  rules::require_same_shape(graph, node, 1, 2);
  return rules::as_first(graph, node);
}

void cross_entropy_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] =
      builder.add("CrossEntropyGrad", {node.inputs[0], node.inputs[1], node.outputs[1]}, {}, builder.phase_of(0));
}

Outputs infer_squared_error(const Graph& graph, const Node& node) {
  rules::as_both(graph, node);
  rules::require_type(graph, node, 1, DataType::f32);
  return {kScalar};
}

Outputs infer_squared_error_grad(const Graph& graph, const Node& node) {
  infer_squared_error(graph, node);
  return rules::as_first(graph, node);
}

void squared_error_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] =
      builder.add("MeanSquaredErrorGrad", {node.inputs[0], node.inputs[1]}, {}, builder.phase_of(0));
}

Outputs infer_weighted(const Graph& graph, const Node& node) {
  rules::require_float(graph, node, 0);
  const Shape& x = rules::shape(graph, node, 0);
  rules::require(x.num_elements() == 1, node, "x is " + x.to_string() + ", wants one element");
  return {kScalar};
}

void weighted_gradient(GradientBuilder& builder, const Node& node) {
  const Shape x = builder.graph.shape(node.inputs[0]);
  const ValueId scalar = builder.add("WeightedLossGrad", {}, {}, builder.phase_of(0));
  builder.input_grads[0] =
      x.rank() == 0 ? scalar
                    : builder.add("Reshape", {scalar}, Attributes().set("shape", x.to_vector()), builder.phase_of(0));
}

Outputs infer_weighted_grad(const Graph&, const Node&) { return {kScalar}; }

constexpr OpDef kOps[] = {
    {.name = "CrossEntropy",
     .min_inputs = 2,
     .max_inputs = 2,
     .num_outputs = 2,
     .infer = infer_cross_entropy,
     .gradient = cross_entropy_gradient,
     .flops = rules::per_input<5>},
    {.name = "CrossEntropyStats", .min_inputs = 2, .max_inputs = 2, .infer = infer_stats, .flops = rules::per_input<5>},
    {.name = "CrossEntropyMerge",
     .min_inputs = 2,
     .max_inputs = 2,
     .num_outputs = 2,
     .infer = infer_merge,
     .flops = rules::per_input<2>},
    {.name = "MeanSquaredError",
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_squared_error,
     .gradient = squared_error_gradient,
     .flops = rules::per_input<3>},
    {.name = "WeightedLoss", .infer = infer_weighted, .gradient = weighted_gradient},
    {.name = "CrossEntropyGrad",
     .min_inputs = 3,
     .max_inputs = 3,
     .infer = infer_cross_entropy_grad,
     .flops = rules::per_output<5>},
    {.name = "MeanSquaredErrorGrad",
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_squared_error_grad,
     .flops = rules::per_output<2>},
    {.name = "WeightedLossGrad", .min_inputs = 0, .max_inputs = 0, .infer = infer_weighted_grad},
};

}  // namespace

std::span<const OpDef> loss_ops() { return kOps; }

}  // namespace dml
