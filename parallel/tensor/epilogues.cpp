#include "parallel/tensor/epilogues.h"

#include "models/index.h"
#include "models/op.h"
#include "models/rewrite/match.h"

namespace dml {
namespace {

class Fusion {
 public:
  Fusion(SplitGraph& split, std::span<const int> stages)
      : split_(split), graph_(split.graph), stages_(stages), matcher_(graph_), is_taken_(index(graph_.num_nodes())) {}

  void run() {
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) take_bias(id);
    drop_taken();
  }

 private:
  int stage(NodeId id) const { return stages_.empty() ? 0 : stages_[index(split_.origin[index(id)])]; }

  /// The MatMul whose result goes to node `id` alone, or kNone.
  NodeId product_before(NodeId id, ValueId result) const {
    if (matcher_.producer(result, "MatMul") == nullptr || !matcher_.is_internal(result)) return kNone;
    const NodeId product = graph_.value(result).producer;
    return graph_.node(product).phase == graph_.node(id).phase && stage(product) == stage(id) ? product : kNone;
  }

  /// Whether `bias` can be added to the rows of `product`; where products are scaled, kernels round otherwise.
  bool takes_bias(const Node& product, ValueId bias) const {
    const Value& y = graph_.value(product.outputs[0]);
    const Value& vector = graph_.value(bias);
    return product.inputs.size() == 2 && product.attrs.real("alpha", 1) == 1 && vector.dtype == y.dtype &&
           vector.shape == Shape{y.shape.back()};
  }

  void take_bias(NodeId id) {
    const Node& sum = graph_.node(id);
    if (sum.op->name != "Add") return;
    for (const std::size_t place : {std::size_t{0}, std::size_t{1}}) {
      const NodeId product = product_before(id, sum.inputs[place]);
      const ValueId bias = sum.inputs[1 - place];
      if (product == kNone || !takes_bias(graph_.node(product), bias)) continue;
      Node fused = graph_.node(product);
      fused.inputs.push_back(bias);
      fused.outputs = sum.outputs;
      put(id, product, std::move(fused));
      return;
    }
  }

  /// Node `last` becomes `fused`, which computes what `product` did too.
  void put(NodeId last, NodeId product, Node fused) {
    graph_.node(last) = std::move(fused);
    split_.origin[index(last)] = split_.origin[index(product)];
    is_taken_[index(product)] = true;
  }

  void drop_taken() {
    std::vector<Node> nodes;
    std::vector<NodeId> origin;
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      if (is_taken_[index(id)]) continue;
      nodes.push_back(std::move(graph_.node(id)));
      origin.push_back(split_.origin[index(id)]);
    }
    graph_.set_nodes(std::move(nodes));
    split_.origin = std::move(origin);
  }

  SplitGraph& split_;
  Graph& graph_;
  std::span<const int> stages_;
  Matcher matcher_;
  std::vector<bool> is_taken_;  ///< by node: another one computes it
};

}  // namespace

SplitGraph with_epilogues(SplitGraph split, std::span<const int> stages) {
  Fusion(split, stages).run();
  return split;
}

}  // namespace dml
