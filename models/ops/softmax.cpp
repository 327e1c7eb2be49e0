// Softmax and LogSoftmax over one dim.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

rules::Outputs infer(const Graph& graph, const Node& node) {
  rules::axis_of(node, rules::shape(graph, node, 0));
  return rules::as_first_float(graph, node);
}

rules::Outputs infer_gradient(const Graph& graph, const Node& node) {
  rules::axis_of(node, rules::shape(graph, node, 0));
  return rules::as_both(graph, node);
}

void softmax_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] =
      builder.add("SoftmaxGrad", {builder.output_grads[0], node.outputs[0]}, node.attrs, builder.phase_of(0));
}

void log_softmax_gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] =
      builder.add("LogSoftmaxGrad", {builder.output_grads[0], node.outputs[0]}, node.attrs, builder.phase_of(0));
}

constexpr OpDef kOps[] = {
    {.name = "Softmax", .infer = infer, .gradient = softmax_gradient, .flops = rules::per_output<5>},
    {.name = "LogSoftmax", .infer = infer, .gradient = log_softmax_gradient, .flops = rules::per_output<5>},
    {.name = "SoftmaxGrad", .min_inputs = 2, .max_inputs = 2, .infer = infer_gradient, .flops = rules::per_output<4>},
    {.name = "LogSoftmaxGrad",
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_gradient,
     .flops = rules::per_output<4>},
};

}  // namespace

std::span<const OpDef> softmax_ops() { return kOps; }

}  // namespace dml
