#include "parallel/verify/epilogue_parts.h"

#include <algorithm>
#include <utility>

#include "models/op.h"

namespace dml {
namespace {

/// The node of the whole Graph that computes a value of a divided one, or kNone.
NodeId producer_in(const Graph& whole, ValueId value) {
  return value < whole.num_values() ? whole.value(value).producer : kNone;
}

using Parts = std::vector<OperationPart>;

/// A node of the whole Graph in phase and place of the divided one that is said to compute it.
Node part_like(const Node& whole, const Node& node) {
  Node part = whole;
  part.phase = node.phase;
  return part;
}

Parts parts_of_biased_product(const Graph& whole, const Node& node, NodeId origin) {
  const Node& first = whole.node(origin);
  const NodeId last = producer_in(whole, node.outputs[0]);
  if (first.inputs.size() != 2 || last == kNone || whole.node(last).op->name != "Add") return {};
  OperationPart product{node, origin};
  product.node.inputs.pop_back();
  product.node.outputs = first.outputs;
  OperationPart sum{part_like(whole.node(last), node), last};
  const auto between = std::ranges::find(sum.node.inputs, first.outputs[0]);
  if (between == sum.node.inputs.end()) return {};
  sum.node.inputs[between == sum.node.inputs.begin() ? 1 : 0] = node.inputs[2];
  return {product, sum};
}

/// `value` under the shape in which the whole Graph has it as `wanted`, or else under its first one.
ValueId reshaped_back(const Graph& divided, ValueId value, ValueId wanted) {
  while (value != wanted && divided.value(value).producer != kNone) {
    const Node& producer = divided.node(divided.value(value).producer);
    if (producer.op->name != "Reshape") break;
    value = producer.inputs[0];
  }
  return value;
}

Parts parts_of_param_gradient(const Graph& whole, const Graph& divided, const Node& node, NodeId origin) {
  const NodeId sum = producer_in(whole, node.outputs[1]);
  const Node& first = whole.node(origin);
  if (sum == kNone || whole.node(sum).op->name != "SumTo" || first.op->name != "MatMul") return {};
  if (first.attrs.integer("trans_a") == 0 || first.attrs.integer("trans_b") != 0 || first.attrs.real("alpha", 1) != 1)
    return {};
  const bool trans_b = node.attrs.integer("trans_b") != 0;
  OperationPart product{node, origin};
  product.node.op = op("MatMul");
  product.node.attrs = first.attrs;
  if (trans_b) std::swap(product.node.inputs[0], product.node.inputs[1]);
  product.node.outputs = {node.outputs[0]};
  OperationPart rows{part_like(whole.node(sum), node), sum};
  rows.node.inputs[0] = reshaped_back(divided, node.inputs[1], whole.node(sum).inputs[0]);
  rows.node.attrs.set("shape", divided.shape(node.outputs[1]).to_vector());
  return {product, rows};
}

bool is_by_tanh(const Node& node, std::string_view name) {
  return node.op->name == name && node.attrs.text("approximate") == "tanh";
}

Parts parts_of_linear_gelu(const Graph& whole, const Node& node, NodeId origin) {
  const NodeId gelu = producer_in(whole, node.outputs[0]);
  if (gelu == kNone || !is_by_tanh(whole.node(gelu), "Gelu")) return {};
  Node product = node;
  product.op = op("MatMul");
  product.outputs = {node.outputs[1]};
  Parts parts = parts_of_biased_product(whole, product, origin);
  OperationPart activation{part_like(whole.node(gelu), node), gelu};
  activation.node.inputs = {node.outputs[1]};
  if (!parts.empty()) parts.push_back(std::move(activation));
  return parts;
}

Parts parts_of_linear_gelu_gradient(const Graph& whole, const Node& node, NodeId origin) {
  const NodeId gradient = producer_in(whole, node.outputs[0]);
  if (gradient == kNone || !is_by_tanh(whole.node(gradient), "GeluGrad")) return {};
  OperationPart product{node, origin};
  product.node.op = op("MatMul");
  product.node.inputs.pop_back();
  product.node.outputs = whole.node(origin).outputs;
  OperationPart slope{part_like(whole.node(gradient), node), gradient};
  slope.node.inputs = {product.node.outputs[0], node.inputs[2]};
  return {product, slope};
}

}  // namespace

std::vector<OperationPart> parts_of(const Graph& whole, const Graph& divided, const Node& node, NodeId origin) {
  Parts parts;
  if (node.op->name == "MatMul" && node.inputs.size() == 3) parts = parts_of_biased_product(whole, node, origin);
  if (node.op->name == "LinearParamGrad") parts = parts_of_param_gradient(whole, divided, node, origin);
  if (node.op->name == "LinearGelu") parts = parts_of_linear_gelu(whole, node, origin);
  if (node.op->name == "LinearGeluGrad") parts = parts_of_linear_gelu_gradient(whole, node, origin);
  if (parts.empty()) parts.push_back({node, origin});
  return parts;
}

}  // namespace dml
