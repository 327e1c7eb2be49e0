#include "models/rewrite/fuse.h"

#include "models/op.h"
#include "models/rewrite/match.h"
#include "models/rewrite/passes.h"

namespace dml {
namespace {

/// Whether `perm` swaps the last two dims and leaves the others.
bool swaps_last_two(std::span<const std::int64_t> perm) {
  const auto rank = static_cast<std::int64_t>(perm.size());
  if (rank < 2) return false;
  for (std::int64_t dim = 0; dim < rank - 2; ++dim) {
    if (perm[static_cast<std::size_t>(dim)] != dim) return false;
  }
  return perm[perm.size() - 2] == rank - 1 && perm[perm.size() - 1] == rank - 2;
}

void toggle(Attributes& attrs, const std::string& flag) {
  attrs.set(flag, std::int64_t{attrs.integer(flag) != 0 ? 0 : 1});
}

/// The vector that the Add puts onto the MatMul's columns; kNone where it is none.
ValueId column_bias(const Graph& graph, const Node& add, ValueId product) {
  const ValueId other = add.inputs[0] == product ? add.inputs[1] : add.inputs[0];
  if (other == product || graph.shape(add.outputs[0]) != graph.shape(product)) return kNone;
  return graph.shape(other) == Shape{graph.shape(product).back()} ? other : kNone;
}

bool takes_bias(const Node& node) {
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNone;
  return node.op->name == "MatMul" && node.phase == Phase::forward && !has_bias &&
         node.attrs.integer("accumulate") == 0;
}

}  // namespace

void fold_transposes(Graph& graph) {
  const Matcher matcher(graph);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).op->name != "MatMul") continue;
    for (const std::size_t index : {std::size_t{0}, std::size_t{1}}) {
      const Node* transpose = matcher.producer(graph.node(id).inputs[index], "Transpose");
      if (transpose == nullptr || !swaps_last_two(transpose->attrs.integers("perm"))) continue;
      toggle(graph.node(id).attrs, index == 0 ? "trans_a" : "trans_b");
      graph.node(id).inputs[index] = transpose->inputs[0];
    }
  }
}

void remove_unused(Graph& graph) { graph.remove_dead(results_of(graph)); }

void fuse(Graph& graph) {
  for (const auto pass : {fold_constants, fuse_gelu, fuse_attention, fold_transposes}) {
    remove_unused(graph);
    pass(graph);
  }
  remove_unused(graph);
}

void fuse_bias(Graph& graph) {
  const Matcher matcher(graph);
  std::vector<NodeId> fused_into(static_cast<std::size_t>(graph.num_nodes()), kNone);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node product = graph.node(id);
    if (!takes_bias(product) || !matcher.is_internal(product.outputs[0])) continue;
    Node& add = graph.node(matcher.reader(product.outputs[0]));
    if (add.op->name != "Add") continue;
    const ValueId bias = column_bias(graph, add, product.outputs[0]);
    if (bias == kNone) continue;
    fused_into[static_cast<std::size_t>(id)] = matcher.reader(product.outputs[0]);
    const std::vector<ValueId> outputs = add.outputs;
    add = product;
    add.inputs = {product.inputs[0], product.inputs[1], bias};
    add.outputs = outputs;
  }
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    NodeId& forward = graph.node(id).forward;
    if (forward == kNone) continue;
    const NodeId fused = fused_into[static_cast<std::size_t>(forward)];
    if (fused != kNone) forward = fused;
  }
  remove_unused(graph);
}

}  // namespace dml
