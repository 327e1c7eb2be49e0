#include "parallel/verify/epilogue_parts.h"

#include <algorithm>

#include "models/op.h"

namespace dml {
namespace {

/// The node of the whole Graph that computes a value of a divided one, or kNone.
NodeId producer_in(const Graph& whole, ValueId value) {
  return value < whole.num_values() ? whole.value(value).producer : kNone;
}

/// A node of the whole Graph in phase and place of the divided one that is said to compute it.
Node part_like(const Node& whole, const Node& node) {
  Node part = whole;
  part.phase = node.phase;
  return part;
}

}  // namespace

std::vector<OperationPart> parts_of(const Graph& whole, const Node& node, NodeId origin) {
  const Node& first = whole.node(origin);
  const NodeId last = producer_in(whole, node.outputs[0]);
  const bool adds = node.op->name == "MatMul" && node.inputs.size() == 3 && first.inputs.size() == 2;
  if (!adds || last == kNone || whole.node(last).op->name != "Add") return {{node, origin}};
  OperationPart product{node, origin};
  product.node.inputs.pop_back();
  product.node.outputs = first.outputs;
  OperationPart sum{part_like(whole.node(last), node), last};
  const auto between = std::ranges::find(sum.node.inputs, first.outputs[0]);
  if (between == sum.node.inputs.end()) return {{node, origin}};
  sum.node.inputs[between == sum.node.inputs.begin() ? 1 : 0] = node.inputs[2];
  return {product, sum};
}

}  // namespace dml
