#include "parallel/plan/stage_price.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "models/index.h"
#include "models/op.h"
#include "parallel/collective_node.h"

namespace dml {
namespace {

/// From when to when a value is needed, as indices into the stage's nodes.
struct Lifetime {
  int first = 0;
  int last = 0;
  bool read_by_weights = false;
  bool made_by_weights = false;
};

class StagePricer {
 public:
  StagePricer(const PricedGraph& priced, const StageMap& map, int stage)
      : priced_(priced), graph_(priced.split.graph), map_(map), stage_(stage), nodes_(map.nodes(stage)) {}

  StagePrice price() {
    price_.forward = play({Phase::forward});
    price_.input_grad = play({Phase::recompute, Phase::input_grad});
    price_.weight_grad = play({Phase::weight_grad});
    price_.backward = play({Phase::recompute, Phase::input_grad, Phase::weight_grad});
    for (const NodeId id : nodes_) add_node(graph_.node(id), priced_.seconds[index(id)]);
    add_memory();
    price_.down_bytes = sent(map_.down(stage_));
    price_.up_bytes = sent(map_.up(stage_));
    return price_;
  }

 private:
  /// A pass as the executor runs it: computing in order, collectives at the side, waiting only for what is read.
  double play(std::initializer_list<Phase> phases) const {
    std::unordered_map<ValueId, double> ready;  // of what collectives make
    double now = 0;
    double end = 0;
    double issued = 0;
    for (const NodeId id : nodes_) {
      const Node& node = graph_.node(id);
      if (std::find(phases.begin(), phases.end(), node.phase) == phases.end()) continue;
      double inputs = 0;
      for (const ValueId input : node.inputs) {
        const auto found = ready.find(input);
        if (found != ready.end()) inputs = std::max(inputs, found->second);
      }
      if (node.op->is_alias) {
        if (inputs > 0) ready[node.outputs[0]] = inputs;
        continue;
      }
      now = std::max(now, inputs);
      issued += priced_.dispatch_seconds;
      if (is_collective(node)) {
        ready[node.outputs[0]] = now + priced_.seconds[index(id)];
        end = std::max(end, ready[node.outputs[0]]);
      } else {
        now += priced_.seconds[index(id)];
      }
    }
    return std::max({now, end, issued});
  }

  void add_node(const Node& node, double seconds) {
    if (is_collective(node)) {
      price_.tensor_bytes += static_cast<double>(collective_bytes(graph_, node));
    } else {
      price_.compute += seconds;
    }
  }

  ValueId root(ValueId value) const {
    while (graph_.value(value).producer != kNone) {
      const Node& producer = graph_.node(graph_.value(value).producer);
      if (!producer.op->is_alias) break;
      value = producer.inputs[0];
    }
    return value;
  }

  void touch(ValueId value, int at, const Node& node, bool reads) {
    if (value == kNone || map_.addend_of(value) != kNone) return;  // addends lie in the gradients' own buffer
    const ValueId owner = root(value);
    if (graph_.value(owner).role != Role::activation) {
      if (graph_.value(owner).role != Role::parameter) fed_[owner] = bytes_of(graph_.value(owner));
      return;
    }
    Lifetime& life = lifetimes_.try_emplace(owner, Lifetime{at, at}).first->second;
    life.last = at;
    if (node.phase != Phase::weight_grad) return;
    (reads ? life.read_by_weights : life.made_by_weights) = true;
  }

  void add_memory() {
    price_.working = working_bytes(nodes_);
    std::vector<NodeId> weights_last(nodes_.begin(), nodes_.end());
    std::stable_partition(weights_last.begin(), weights_last.end(),
                          [&](NodeId id) { return graph_.node(id).phase != Phase::weight_grad; });
    price_.working_apart = working_bytes(weights_last);
    for (const auto& [value, bytes] : fed_) price_.fed += bytes;
  }

  /// The most that lives at a time beside what is held, in passes that run `nodes` in this order; what is held, too.
  double working_bytes(std::span<const NodeId> nodes) {
    lifetimes_.clear();
    int first_gradient = static_cast<int>(nodes.size());
    for (int at = 0; at < static_cast<int>(nodes.size()); ++at) {
      const Node& node = graph_.node(nodes[index(at)]);
      if (node.phase != Phase::forward) first_gradient = std::min(first_gradient, at);
      for (const ValueId input : node.inputs) touch(input, at, node, true);
      for (const ValueId output : node.outputs) touch(output, at, node, false);
    }
    price_.held = price_.held_for_weights = 0;
    std::vector<double> growth(nodes.size() + 1, 0);
    for (const auto& [value, life] : lifetimes_) {
      const double bytes = bytes_of(graph_.value(value));
      growth[index(life.first)] += bytes;
      growth[index(life.last) + 1] -= bytes;
      if (life.first < first_gradient && life.last >= first_gradient) price_.held += bytes;
      if (life.read_by_weights && !life.made_by_weights) price_.held_for_weights += bytes;
    }
    double live = 0;
    double most = 0;
    for (const double change : growth) {
      live += change;
      most = std::max(most, live);
    }
    return std::max(0.0, most - price_.held);
  }

  double sent(std::span<const ValueId> values) {
    double bytes = 0;
    for (const ValueId value : values) {
      bytes += bytes_of(graph_.value(value));
      price_.largest_message = std::max(price_.largest_message, bytes_of(graph_.value(value)));
    }
    return bytes;
  }

  const PricedGraph& priced_;
  const Graph& graph_;
  const StageMap& map_;
  int stage_;
  std::span<const NodeId> nodes_;
  std::unordered_map<ValueId, Lifetime> lifetimes_;
  std::unordered_map<ValueId, double> fed_;
  StagePrice price_;
};

}  // namespace

double bytes_of(const Value& value) {
  return static_cast<double>(value.shape.num_elements()) * static_cast<double>(size_of(value.dtype));
}

StagePrice between(const StagePrice& a, const StagePrice& b, double part) {
  StagePrice result;
  for (const auto figure :
       {&StagePrice::forward, &StagePrice::input_grad, &StagePrice::weight_grad, &StagePrice::backward,
        &StagePrice::compute, &StagePrice::held, &StagePrice::held_for_weights, &StagePrice::working,
        &StagePrice::working_apart, &StagePrice::fed, &StagePrice::tensor_bytes, &StagePrice::down_bytes,
        &StagePrice::up_bytes, &StagePrice::largest_message}) {
    result.*figure = a.*figure + part * (b.*figure - a.*figure);
  }
  return result;
}

StagePrice price_of_stage(const PricedGraph& graph, const StageMap& map, int stage) {
  return StagePricer(graph, map, stage).price();
}

}  // namespace dml
