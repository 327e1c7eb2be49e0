#include "models/op.h"

#include <algorithm>

#include "kernels/error.h"

namespace dml {

const OpDef* op(std::string_view name) {
  const OpDef* found = find_op(name);
  DML_ASSERT(found != nullptr, "there is no operation '" + std::string(name) + "'");
  return found;
}

Cost cost_of(const Graph& graph, const Node& node) {
  Cost cost;
  if (node.op->flops != nullptr) cost.flops = node.op->flops(graph, node);
  if (node.op->is_alias) return cost;
  for (const auto* ids : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *ids) {
      if (id == kNone) continue;
      const Value& value = graph.value(id);
      cost.bytes += static_cast<double>(value.shape.num_elements()) * static_cast<double>(size_of(value.dtype));
    }
  }
  return cost;
}

GradientBuilder::GradientBuilder(Graph& graph, NodeId node)
    : graph(graph),
      node_id(node),
      output_grads(graph.node(node).outputs.size(), kNone),
      input_grads(graph.node(node).inputs.size(), kNone),
      wanted(graph.node(node).inputs.size(), true),
      phases(graph.node(node).inputs.size(), Phase::input_grad) {}

ValueId GradientBuilder::add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, Phase phase) {
  return add_all(op, std::move(inputs), std::move(attrs), phase).front();
}

std::vector<ValueId> GradientBuilder::add_all(std::string_view op, std::vector<ValueId> inputs, Attributes attrs,
                                              Phase phase) {
  Node node;
  node.op = dml::op(op);
  node.name = name_of_next(*node.op, phase);
  node.scope = graph.node(node_id).scope;
  node.attrs = std::move(attrs);
  node.inputs = std::move(inputs);
  node.phase = phase;
  node.forward = node_id;
  return graph.node(graph.add_node(std::move(node), {})).outputs;
}

// Aliases are counted apart, so that the operation that computes has the plain name.
std::string GradientBuilder::name_of_next(const OpDef& op, Phase phase) {
  std::string suffix = phase == Phase::weight_grad ? ".dw" : ".dx";
  if (op.is_alias) suffix += ".alias";
  const int number = num_of_suffix_[suffix]++;
  return graph.node(node_id).name + suffix + (number > 0 ? std::to_string(number) : "");
}

ValueId GradientBuilder::constant(float value) {
  Value scalar;
  scalar.name = graph.node(node_id).name + ".c" + std::to_string(graph.num_values());
  scalar.role = Role::constant;
  scalar.source = make_source(Shape{}, std::vector<float>{value});
  return graph.add_value(std::move(scalar));
}

Phase GradientBuilder::phase_of(int index) const { return phases[static_cast<std::size_t>(index)]; }

ValueId GradientBuilder::reduced_to(ValueId grad, int index) {
  const Shape shape = graph.shape(graph.node(node_id).inputs[static_cast<std::size_t>(index)]);
  // A weight with a dim of extent 1 may be broadcast over the batch: at a batch of one sample too the sum stands, so
  // that all batch sizes have the same nodes.
  const bool over_batch =
      phase_of(index) == Phase::weight_grad && std::find(shape.begin(), shape.end(), std::int64_t{1}) != shape.end();
  if (graph.shape(grad) == shape && !over_batch) return grad;
  return add("SumTo", {grad}, Attributes().set("shape", shape.to_vector()), phase_of(index));
}

}  // namespace dml
