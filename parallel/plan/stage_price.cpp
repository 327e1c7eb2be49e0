#include "parallel/plan/stage_price.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "models/index.h"
#include "models/op.h"
#include "parallel/collective_node.h"

namespace dml {
namespace {

/// From when to when a value is needed, as indices into the stage's nodes.
struct Lifetime {
  int first = -1;  ///< -1: it does not live here
  int last = 0;
  bool read_by_weights = false;
  bool made_by_weights = false;
};

/// Prices one stage after the other. What is found of values is kept by their ids, and reset after each use: there are
/// many stages, and each has few of the values.
class StagePricer {
 public:
  StagePricer(const PricedGraph& priced, const StageMap& map)
      : priced_(priced),
        graph_(priced.split.graph),
        map_(map),
        ready_(index(graph_.num_values()), 0),
        lifetimes_(index(graph_.num_values())),
        is_fed_(index(graph_.num_values()), false) {
    for (const Node& node : graph_.nodes()) is_collective_.push_back(is_collective(node));
  }

  StagePrice price(int stage) {
    nodes_ = map_.nodes(stage);
    price_ = {};
    price_.forward = play({Phase::forward});
    price_.input_grad = play({Phase::recompute, Phase::input_grad});
    price_.weight_grad = play({Phase::weight_grad});
    price_.backward = play({Phase::recompute, Phase::input_grad, Phase::weight_grad});
    for (const NodeId id : nodes_) add_node(id);
    add_memory();
    price_.down_bytes = sent(map_.down(stage));
    price_.up_bytes = sent(map_.up(stage));
    return price_;
  }

 private:
  /// A pass as the executor runs it: computing in order, collectives at the side, waiting only for what is read.
  double play(std::initializer_list<Phase> phases) {
    double now = 0;
    double end = 0;
    double issued = 0;
    for (const NodeId id : nodes_) {
      const Node& node = graph_.node(id);
      if (std::find(phases.begin(), phases.end(), node.phase) == phases.end()) continue;
      double inputs = 0;
      for (const ValueId input : node.inputs) {
        if (input != kNone) inputs = std::max(inputs, ready_[index(input)]);
      }
      if (node.op->is_alias) {
        ready_[index(node.outputs[0])] = inputs;
        continue;
      }
      now = std::max(now, inputs);
      issued += priced_.dispatch_seconds;
      if (is_collective_[index(id)]) {
        const double over = now + priced_.seconds[index(id)];
        ready_[index(node.outputs[0])] = over;
        end = std::max(end, over);
      } else {
        now += priced_.seconds[index(id)];
      }
    }
    for (const NodeId id : nodes_) ready_[index(graph_.node(id).outputs[0])] = 0;
    return std::max({now, end, issued});
  }

  void add_node(NodeId id) {
    if (is_collective_[index(id)]) {
      price_.tensor_bytes += static_cast<double>(collective_bytes(graph_, graph_.node(id)));
    } else {
      price_.compute += priced_.seconds[index(id)];
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
    const Role role = graph_.value(owner).role;
    if (role != Role::activation) {
      if (role != Role::parameter) feed(owner);
      return;
    }
    Lifetime& life = lifetimes_[index(owner)];
    if (life.first < 0) {
      life.first = at;
      living_.push_back(owner);
    }
    life.last = at;
    if (node.phase != Phase::weight_grad) return;
    (reads ? life.read_by_weights : life.made_by_weights) = true;
  }

  void feed(ValueId value) {
    if (is_fed_[index(value)]) return;
    is_fed_[index(value)] = true;
    fed_.push_back(value);
    price_.fed += bytes_of(graph_.value(value));
  }

  void add_memory() {
    price_.working = working_bytes(nodes_);
    std::vector<NodeId> weights_last(nodes_.begin(), nodes_.end());
    std::stable_partition(weights_last.begin(), weights_last.end(),
                          [&](NodeId id) { return graph_.node(id).phase != Phase::weight_grad; });
    price_.working_apart = working_bytes(weights_last);
    for (const ValueId value : fed_) is_fed_[index(value)] = false;
    fed_.clear();
  }

  /// The most that lives at a time beside what is held, in passes that run `nodes` in this order; what is held, too.
  double working_bytes(std::span<const NodeId> nodes) {
    int first_gradient = static_cast<int>(nodes.size());
    for (int at = 0; at < static_cast<int>(nodes.size()); ++at) {
      const Node& node = graph_.node(nodes[index(at)]);
      if (node.phase != Phase::forward) first_gradient = std::min(first_gradient, at);
      for (const ValueId input : node.inputs) touch(input, at, node, true);
      for (const ValueId output : node.outputs) touch(output, at, node, false);
    }
    price_.held = price_.held_for_weights = 0;
    std::vector<double> growth(nodes.size() + 1, 0);
    for (const ValueId value : living_) {
      const Lifetime life = std::exchange(lifetimes_[index(value)], {});
      const double bytes = bytes_of(graph_.value(value));
      growth[index(life.first)] += bytes;
      growth[index(life.last) + 1] -= bytes;
      if (life.first < first_gradient && life.last >= first_gradient) price_.held += bytes;
      if (life.read_by_weights && !life.made_by_weights) price_.held_for_weights += bytes;
    }
    living_.clear();
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
  std::vector<bool> is_collective_;  ///< by node
  std::vector<double> ready_;        ///< by value: when a collective has made it; 0: at once
  std::vector<Lifetime> lifetimes_;  ///< by value
  std::vector<ValueId> living_;      ///< those with a lifetime
  std::vector<bool> is_fed_;         ///< by value
  std::vector<ValueId> fed_;
  std::span<const NodeId> nodes_;  ///< of the stage
  StagePrice price_;
};

}  // namespace

double bytes_of(const Value& value) { return static_cast<double>(value.num_bytes()); }

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

std::vector<StagePrice> prices_of_stages(const PricedGraph& graph, const StageMap& map, int num_stages) {
  StagePricer pricer(graph, map);
  std::vector<StagePrice> prices;
  for (int stage = 0; stage < num_stages; ++stage) prices.push_back(pricer.price(stage));
  return prices;
}

}  // namespace dml
