#include "parallel/tensor/epilogues.h"

#include <algorithm>
#include <map>
#include <vector>

#include "models/index.h"
#include "models/op.h"
#include "models/rewrite/match.h"

namespace dml {
namespace {

class Fusion {
 public:
  Fusion(SplitGraph& split, std::span<const int> stages)
      : split_(split),
        graph_(split.graph),
        stages_(stages),
        matcher_(graph_),
        readers_(graph_.consumers()),
        whole_(split.origin),
        taken_by_(index(graph_.num_nodes()), kNone) {
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      const Node& node = graph_.node(id);
      if (node.op->name == "SumTo") sums_of_[unshaped(node.inputs[0])].push_back(id);
    }
  }

  void run() {
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      take_bias(id);
      take_bias_gradient(id);
      take_gelu(id);
      take_gelu_gradient(id);
    }
    drop_taken();
  }

 private:
  bool is_taken(NodeId id) const { return taken_by_[index(id)] != kNone; }

  int stage(NodeId id) const { return stages_.empty() ? 0 : stages_[index(split_.origin[index(id)])]; }

  bool are_together(NodeId a, NodeId b) const {
    return graph_.node(a).phase == graph_.node(b).phase && stage(a) == stage(b);
  }

  /// The MatMul whose result goes to node `id` alone, or kNone.
  NodeId product_before(NodeId id, ValueId result) const {
    if (matcher_.producer(result, "MatMul") == nullptr || !matcher_.is_internal(result)) return kNone;
    const NodeId product = graph_.value(result).producer;
    return are_together(product, id) ? product : kNone;
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

  bool is_read_before(NodeId id, ValueId value) const {
    return std::ranges::any_of(readers_[value], [&](NodeId reader) { return reader < id; });
  }

  /// A product with a matrix w, of a that is not transposed.
  bool is_linear(const Node& product) const {
    return product.op->name == "MatMul" && product.attrs.integer("trans_a") == 0 &&
           product.attrs.real("alpha", 1) == 1 && graph_.shape(product.inputs[1]).rank() == 2;
  }

  void take_gelu(NodeId id) {
    const Node& gelu = graph_.node(id);
    if (gelu.op->name != "Gelu" || gelu.attrs.text("approximate") != "tanh") return;
    const ValueId pre = gelu.inputs[0];
    if (matcher_.producer(pre, "MatMul") == nullptr || is_read_before(id, pre)) return;
    const NodeId product = graph_.value(pre).producer;
    Node fused = graph_.node(product);
    if (fused.inputs.size() != 3 || !is_linear(fused) || !are_together(product, id)) return;
    fused.op = op("LinearGelu");
    fused.outputs = {gelu.outputs[0], pre};
    put(id, product, std::move(fused));
  }

  void take_gelu_gradient(NodeId id) {
    const Node& gradient = graph_.node(id);
    if (gradient.op->name != "GeluGrad" || gradient.attrs.text("approximate") != "tanh") return;
    const NodeId product = product_before(id, gradient.inputs[0]);
    if (product == kNone || graph_.node(product).inputs.size() != 2 || !is_linear(graph_.node(product))) return;
    Node fused = graph_.node(product);
    fused.op = op("LinearGeluGrad");
    fused.inputs.push_back(gradient.inputs[1]);
    fused.outputs = gradient.outputs;
    put(id, product, std::move(fused));
  }

  /// The value under its first shape.
  ValueId unshaped(ValueId value) const {
    while (const Node* reshape = matcher_.producer(value, "Reshape")) value = reshape->inputs[0];
    return value;
  }

  /// The SumTo that adds up the rows of `dy`, in the phase and stage of `product`, and whose result is read behind that
  /// alone; or kNone.
  NodeId sum_of_rows(NodeId product, ValueId dy) const {
    const auto sums = sums_of_.find(unshaped(dy));
    if (sums == sums_of_.end()) return kNone;
    const Shape row{graph_.shape(dy).back()};
    for (const NodeId sum : sums->second) {
      const ValueId result = graph_.node(sum).outputs[0];
      const bool fits = graph_.shape(result) == row && graph_.shape(graph_.node(sum).inputs[0]).back() == row[0];
      if (sum < product && !is_taken(sum) && fits && !is_read_before(product, result) && are_together(sum, product))
        return sum;
    }
    return kNone;
  }

  /// A weight's gradient xᵀ dy, or dyᵀ x of one that is stored transposed, sums the rows of dy too.
  void take_bias_gradient(NodeId id) {
    const Node& product = graph_.node(id);
    if (product.op->name != "MatMul" || product.phase != Phase::weight_grad || !is_plain_gradient(product)) return;
    for (const std::size_t place : {std::size_t{0}, std::size_t{1}}) {
      const NodeId sum = sum_of_rows(id, product.inputs[place]);
      if (sum == kNone) continue;
      Node fused = product;
      fused.op = op("LinearParamGrad");
      fused.attrs = {};
      if (place == 0) fused.attrs.set("trans_b", std::int64_t{1});
      fused.inputs = {product.inputs[1 - place], product.inputs[place]};
      fused.outputs.push_back(graph_.node(sum).outputs[0]);
      graph_.node(id) = std::move(fused);
      taken_by_[index(sum)] = id;
      return;
    }
  }

  bool is_plain_gradient(const Node& product) const {
    return product.inputs.size() == 2 && product.attrs.integer("trans_a") != 0 &&
           product.attrs.integer("trans_b") == 0 && product.attrs.real("alpha", 1) == 1 &&
           graph_.shape(product.inputs[0]).rank() == 2 && graph_.shape(product.inputs[1]).rank() == 2;
  }

  /// Node `last` becomes `fused`, which computes what `product` did too.
  void put(NodeId last, NodeId product, Node fused) {
    graph_.node(last) = std::move(fused);
    split_.origin[index(last)] = split_.origin[index(product)];
    taken_by_[index(product)] = last;
  }

  void drop_taken() {
    renumber_forward();
    std::vector<Node> nodes;
    std::vector<NodeId> origin;
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      if (is_taken(id)) continue;
      nodes.push_back(std::move(graph_.node(id)));
      origin.push_back(split_.origin[index(id)]);
    }
    graph_.set_nodes(std::move(nodes));
    split_.origin = std::move(origin);
  }

  /// Node::forward is a number of the graph that was divided: it becomes that of the node that computes that one here.
  void renumber_forward() {
    std::vector<NodeId> place(whole_.size(), kNone);
    NodeId count = 0;
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      if (!is_taken(id)) place[index(id)] = count++;
    }
    for (NodeId id = graph_.num_nodes() - 1; id >= 0; --id) {
      if (is_taken(id)) place[index(id)] = place[index(taken_by_[index(id)])];
    }
    std::map<NodeId, NodeId> of_whole;  // of several, as moves of the result are, the first
    for (std::size_t id = 0; id < place.size(); ++id) of_whole.emplace(whole_[id], place[id]);
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      NodeId& forward = graph_.node(id).forward;
      if (forward != kNone) forward = of_whole.at(forward);
    }
  }

  SplitGraph& split_;
  Graph& graph_;
  std::span<const int> stages_;
  Matcher matcher_;
  Consumers readers_;
  std::map<ValueId, std::vector<NodeId>> sums_of_;  ///< SumTo nodes by what they sum, under its first shape
  std::vector<NodeId> whole_;                       ///< by node: its origin before any became one
  std::vector<NodeId> taken_by_;                    ///< by node: the one behind it that computes it too, or kNone
};

}  // namespace

SplitGraph with_epilogues(SplitGraph split, std::span<const int> stages) {
  Fusion(split, stages).run();
  return split;
}

}  // namespace dml
