// A segment is what is recomputed at once: a layer, or what lies between the two products of an attention.
#include "parallel/techniques/recomputation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "models/index.h"
#include "models/op.h"
#include "models/scope.h"

namespace dml {
namespace {

using Segments = std::vector<std::int32_t>;  // by node, or kNone

Segments layers_of(const Graph& graph) {
  Segments segments(index(graph.num_nodes()), kNone);
  std::map<std::string, std::int32_t> numbers;
  const std::size_t common = common_components(graph);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    if (node.phase != Phase::forward || node.scope.empty()) continue;
    const auto next = static_cast<std::int32_t>(numbers.size());
    segments[index(id)] = numbers.emplace(layer_of(node.scope, common), next).first->second;
  }
  return segments;
}

/// Finds the attentions that are spelled out: a softmax with a product of two activations before and behind it.
class Attentions {
 public:
  explicit Attentions(const Graph& graph)
      : graph_(graph), consumers_(graph.consumers()), segments_(index(graph.num_nodes()), kNone) {
    for (NodeId id = 0; id < graph.num_nodes(); ++id) {
      const Node& node = graph.node(id);
      if (node.phase != Phase::forward || node.op->name != "Softmax") continue;
      std::vector<NodeId> core{id};
      if (add_scores(core) && add_mixing(core))
        for (const NodeId member : core) segments_[index(member)] = id;
    }
  }

  const Segments& segments() const { return segments_; }

 private:
  bool is_activation(ValueId value) const {
    return value != kNone && graph_.value(value).role == Role::activation && graph_.value(value).producer != kNone;
  }

  bool is_product(const Node& node) const {
    return node.op->name == "MatMul" && is_activation(node.inputs[0]) && is_activation(node.inputs[1]);
  }

  /// Backward from the softmax along the larger activation, to the product of queries and keys.
  bool add_scores(std::vector<NodeId>& core) const {
    while (!is_product(graph_.node(core.back()))) {
      const std::vector<ValueId>& inputs = graph_.node(core.back()).inputs;
      const auto largest = std::max_element(inputs.begin(), inputs.end(),
                                            [&](ValueId a, ValueId b) { return elements_of(a) < elements_of(b); });
      if (largest == inputs.end() || !is_activation(*largest)) return false;
      core.push_back(graph_.value(*largest).producer);
    }
    return true;
  }

  /// Forward from the softmax, to the product of weights and values.
  bool add_mixing(std::vector<NodeId>& core) const {
    NodeId at = core.front();
    while (!is_product(graph_.node(at))) {
      NodeId next = kNone;
      for (const NodeId reader : consumers_[graph_.node(at).outputs[0]])
        if (graph_.node(reader).phase == Phase::forward) next = reader;
      if (next == kNone) return false;
      core.push_back(at = next);
    }
    return true;
  }

  std::int64_t elements_of(ValueId value) const {
    return is_activation(value) ? graph_.shape(value).num_elements() : -1;
  }

  const Graph& graph_;
  Consumers consumers_;
  Segments segments_;
};

class Recomputer {
 public:
  Recomputer(Graph graph, Segments segments)
      : graph_(std::move(graph)),
        segments_(std::move(segments)),
        needed_(index(graph_.num_nodes()), false),
        copy_(index(graph_.num_values()), kNone) {
    find_kept();
    find_needed();
  }

  Graph run() {
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      Node node = graph_.node(id);
      if (node.phase != Phase::forward) {
        for (ValueId& input : node.inputs) input = read(input);
      }
      place_[id] = static_cast<NodeId>(nodes_.size());
      nodes_.push_back(std::move(node));
    }
    for (Node& node : nodes_) {
      if (node.forward != kNone) node.forward = place_.at(node.forward);
    }
    graph_.set_nodes(std::move(nodes_));
    return std::move(graph_);
  }

 private:
  std::int32_t segment_of(ValueId value) const {
    const NodeId producer = value == kNone ? kNone : graph_.value(value).producer;
    return producer == kNone || kept_[index(value)] ? kNone : segments_[index(producer)];
  }

  /// Whatever a forward node outside of the segment reads is there anyway.
  void find_kept() {
    kept_.assign(index(graph_.num_values()), false);
    const auto consumers = graph_.consumers();
    for (ValueId id = 0; id < graph_.num_values(); ++id) {
      const NodeId producer = graph_.value(id).producer;
      if (producer == kNone) continue;
      for (const NodeId reader : consumers[id]) {
        const bool is_outside = segments_[index(reader)] != segments_[index(producer)];
        if (graph_.node(reader).phase == Phase::forward && is_outside) kept_[index(id)] = true;
      }
    }
    for (const ValueId id : {graph_.output, graph_.loss})
      if (id != kNone) kept_[index(id)] = true;
    for (const auto& [state, next] : graph_.next_state) kept_[index(next)] = true;
  }

  /// The nodes whose outputs gradients read, and those that these read.
  void find_needed() {
    for (NodeId id = graph_.num_nodes() - 1; id >= 0; --id) {
      const Node& node = graph_.node(id);
      if (node.phase == Phase::forward && !needed_[index(id)]) continue;
      for (const ValueId input : node.inputs) {
        if (segment_of(input) != kNone) needed_[index(graph_.value(input).producer)] = true;
      }
    }
  }

  ValueId read(ValueId value) {
    const std::int32_t segment = segment_of(value);
    if (segment == kNone) return value;
    if (copy_[index(value)] == kNone) copy_segment(segment);
    return copy_[index(value)];
  }

  void copy_segment(std::int32_t segment) {
    for (NodeId id = 0; id < static_cast<NodeId>(segments_.size()); ++id) {
      if (segments_[index(id)] != segment || !needed_[index(id)]) continue;
      Node node = graph_.node(id);
      node.phase = Phase::recompute;
      node.forward = id;
      node.name += ".recompute";
      for (ValueId& input : node.inputs)
        if (segment_of(input) == segment) input = copy_[index(input)];
      for (ValueId& output : node.outputs) output = copied_value(output);
      nodes_.push_back(std::move(node));
    }
  }

  ValueId copied_value(ValueId original) {
    Value value = graph_.value(original);
    value.name += ".recompute";
    value.producer = kNone;
    const ValueId copy = graph_.add_value(std::move(value));
    return copy_[index(original)] = copy;
  }

  Graph graph_;
  Segments segments_;
  std::vector<bool> kept_;    ///< by value: not recomputed
  std::vector<bool> needed_;  ///< by node
  std::vector<ValueId> copy_;
  std::vector<Node> nodes_;
  std::map<NodeId, NodeId> place_;  ///< of the original nodes among the new ones
};

}  // namespace

Graph with_recomputation(Graph graph, Recompute recompute) {
  if (recompute == Recompute::none) return graph;
  Segments segments = recompute == Recompute::full ? layers_of(graph) : Attentions(graph).segments();
  return Recomputer(std::move(graph), std::move(segments)).run();
}

}  // namespace dml
