// Dropout, whose mask is a function of seed, step, site, sample and element: nothing is kept for the backward pass.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

rules::Outputs infer(const Graph& graph, const Node& node) {
  const double ratio = node.attrs.real("ratio");
  rules::require(ratio >= 0 && ratio < 1, node, "ratio is " + std::to_string(ratio) + ", wants 0 to below 1");
  return rules::as_first_float(graph, node);
}

void gradient(GradientBuilder& builder, const Node& node) {
  builder.input_grads[0] = builder.add("DropoutGrad", {builder.output_grads[0]}, node.attrs, builder.phase_of(0));
}

constexpr OpDef kOps[] = {
    {.name = "Dropout", .infer = infer, .gradient = gradient, .flops = rules::per_output<1>},
    {.name = "DropoutGrad", .infer = infer, .flops = rules::per_output<1>},
};

}  // namespace

std::span<const OpDef> dropout_ops() { return kOps; }

}  // namespace dml
