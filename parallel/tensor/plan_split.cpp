// The choice of a strategy for each node: greedy in topological order, by the bytes that it moves. At a matrix product
// whose weight is still free, the candidate divisions are tried on the nodes behind it before one is taken.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "kernels/error.h"
#include "models/index.h"
#include "parallel/tensor/split.h"

namespace dml {
namespace {

constexpr double kImpossible = 1e30;
/// A weight is not moved where an activation can be: it would be every microbatch.
constexpr double kWeightPenalty = 1e6;
/// A division is kept where it can be, whatever the bytes: undoing one means that all ranks compute the same.
constexpr double kGatherPenalty = 1e3;
/// How many nodes behind a matrix product a candidate division is followed.
constexpr int kTrialNodes = 64;

struct Choice {
  Strategy strategy;
  double cost = kImpossible;
  double gathers = 0;  ///< the part of cost that undoes a division
};

class Planner {
 public:
  Planner(const Graph& graph, int size, SplitMode mode, const SplitWishes* wishes)
      : graph_(graph),
        mode_(mode),
        wishes_(wishes),
        consumers_(graph.consumers()),
        free_(static_cast<std::size_t>(graph.num_values())) {
    plan_.size = size;
    plan_.values.resize(static_cast<std::size_t>(graph.num_values()));
    plan_.chosen.resize(static_cast<std::size_t>(graph.num_nodes()));
    plan_.gathered.resize(static_cast<std::size_t>(graph.num_nodes()));
    hints_.resize(static_cast<std::size_t>(graph.num_values()));
    for (ValueId id = 0; id < graph.num_values(); ++id) {
      const Role role = graph.value(id).role;
      free_[index(id)] = role == Role::parameter || role == Role::state;
    }
  }

  SplitPlan run() {
    bool hinted = false;
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      if (graph_.node(id).phase != Phase::forward && !hinted) {
        add_hints();
        hinted = true;
      }
      take(id);
    }
    for (const auto& [parameter, gradient] : graph_.gradient_of) {
      plan_.bytes += conversion_cost(gradient, value(gradient), value(parameter), true);
    }
    return std::move(plan_);
  }

 private:
  using Overlay = std::map<ValueId, Sharding>;

  Sharding& value(ValueId id) { return plan_.values[index(id)]; }
  double bytes_of(ValueId id) const {
    const Value& v = graph_.value(id);
    return static_cast<double>(v.shape.num_elements()) * static_cast<double>(size_of(v.dtype));
  }

  /// Bytes that a rank sends to turn `from` into `to`.
  double conversion_cost(ValueId id, const Sharding& from, const Sharding& to, bool assigned) const {
    if (from == to || (!assigned && !to.is_partial())) return 0;
    const double part = (plan_.size - 1.0) / plan_.size * bytes_of(id);
    const Role role = graph_.value(id).role;
    if (to.is_partial()) return kImpossible;
    if (from.is_partial()) return 2 * part;
    if (from.is_replicate()) return 0;
    return part * (role == Role::parameter || role == Role::state ? kWeightPenalty : 1);
  }

  std::vector<Sharding> shardings_of(std::span<const ValueId> ids, const Overlay& overlay) const {
    std::vector<Sharding> result;
    for (const ValueId id : ids) {
      const auto found = overlay.find(id);
      result.push_back(id == kNone ? Sharding{} : found != overlay.end() ? found->second : plan_.values[index(id)]);
    }
    return result;
  }

  /// A division leaves every rank something.
  bool sensible(const Strategy& strategy) const {
    const auto fits = [&](const Sharding& s) { return !s.is_shard() || s.units >= plan_.size; };
    return std::all_of(strategy.inputs.begin(), strategy.inputs.end(), fits) &&
           std::all_of(strategy.outputs.begin(), strategy.outputs.end(), fits);
  }

  std::vector<Strategy> strategies_of(const Node& node, const std::vector<Sharding>& inputs) const {
    std::vector<Strategy> strategies;
    const TensorRule* rule = find_tensor_rule(node.op->name);
    if (rule != nullptr && rule->strategies != nullptr) {
      std::span<const Sharding> forward_inputs, forward_outputs;
      if (node.forward != kNone && !plan_.chosen[index(node.forward)].outputs.empty()) {
        forward_inputs = plan_.chosen[index(node.forward)].inputs;
        forward_outputs = plan_.chosen[index(node.forward)].outputs;
      }
      const Sharding* hint = hints_[index(node.outputs[0])].is_shard() ? &hints_[index(node.outputs[0])] : nullptr;
      rule->strategies({graph_, node, inputs, forward_inputs, forward_outputs, hint}, strategies);
      std::erase_if(strategies, [&](const Strategy& s) { return !sensible(s); });
    }
    strategies.push_back({std::vector<Sharding>(node.inputs.size()), std::vector<Sharding>(node.outputs.size())});
    return strategies;
  }

  Choice cheapest(const Node& node, const Overlay& overlay) const {
    const std::vector<Sharding> inputs = shardings_of(node.inputs, overlay);
    Choice best;
    for (Strategy& strategy : strategies_of(node, inputs)) {
      const Choice choice = priced(node, inputs, std::move(strategy), overlay);
      if (weight_of(node, choice) < weight_of(node, best)) best = choice;
    }
    return best;
  }

  double weight_of(const Node& node, const Choice& choice) const {
    const bool keeps = mode_ == SplitMode::megatron && node.phase == Phase::forward;
    return choice.cost + (keeps ? kGatherPenalty * choice.gathers : 0);
  }

  Choice priced(const Node& node, const std::vector<Sharding>& inputs, Strategy strategy,
                const Overlay& overlay) const {
    Choice choice{std::move(strategy), 0, 0};
    bool adds_up = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNone) continue;
      const bool assigned = !free_[index(id)] || overlay.count(id) > 0;
      const double cost = conversion_cost(id, inputs[i], choice.strategy.inputs[i], assigned);
      choice.cost += cost;
      if (assigned && inputs[i].is_shard() && cost > 0) choice.gathers += cost;
      adds_up = adds_up || inputs[i].is_partial();
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (choice.strategy.outputs[i].is_partial() && !adds_up) {
        choice.cost += 2 * (plan_.size - 1.0) / plan_.size * bytes_of(node.outputs[i]);
      }
    }
    return choice;
  }

  /// Follows a division behind `from`: what it costs until nothing divided is left, or a limit is reached.
  Choice trial(NodeId from, const Strategy& strategy) const {
    const Node& start = graph_.node(from);
    Overlay overlay;
    for (std::size_t i = 0; i < start.inputs.size(); ++i) {
      if (start.inputs[i] != kNone && free_[index(start.inputs[i])]) overlay[start.inputs[i]] = strategy.inputs[i];
    }
    overlay[start.outputs[0]] = strategy.outputs[0];
    Choice total{strategy, 0, 0};
    int followed = 0;
    for (NodeId id = from + 1; id < graph_.num_nodes() && followed < kTrialNodes; ++id) {
      const Node& node = graph_.node(id);
      if (node.phase != Phase::forward) break;
      const bool touched = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
        const auto found = overlay.find(input);
        return input != kNone && graph_.value(input).role == Role::activation && found != overlay.end() &&
               !found->second.is_replicate();
      });
      if (!touched) continue;
      ++followed;
      const Choice choice = cheapest(node, overlay);
      total.cost += choice.cost;
      total.gathers += choice.gathers;
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        const Sharding& out = choice.strategy.outputs[i];
        overlay[node.outputs[i]] = out.is_partial() ? Sharding::replicate() : out;
      }
    }
    return total;
  }

  /// The divisions of the last dim that Reshapes and heads behind a matrix product suggest, the plain one first.
  std::vector<Sharding> column_candidates(const Node& node, int dim, std::int64_t columns) const {
    std::vector<Sharding> candidates{Sharding::shard(dim, 1, columns, 1)};
    const auto add = [&](std::int64_t outer, std::int64_t units) {
      if (outer < 1 || units < 2 || columns % (outer * units) != 0) return;
      const Sharding s = Sharding::shard(dim, outer, units, columns / (outer * units));
      if (std::find(candidates.begin(), candidates.end(), s) == candidates.end()) candidates.push_back(s);
    };
    if (mode_ == SplitMode::gather) return candidates;
    const std::span<const NodeId> readers = consumers_[node.outputs[0]];
    std::vector<NodeId> front(readers.begin(), readers.end());
    std::int64_t pieces = 1;
    for (std::size_t at = 0; at < front.size() && at < kTrialNodes; ++at) {
      const Node& next = graph_.node(front[at]);
      const std::string_view op = next.op->name;
      if (op == "Split") pieces = std::max<std::int64_t>(pieces, static_cast<std::int64_t>(next.outputs.size()));
      if (op == "Slice")
        pieces = std::max(pieces, columns / std::max<std::int64_t>(1, graph_.shape(next.outputs[0]).back()));
      if (op == "Attention") add(1, next.attrs.integer("heads"));
      if (op == "PackedAttention") add(3, next.attrs.integer("heads"));
      if (op == "Reshape") {
        for (const std::int64_t extent : graph_.shape(next.outputs[0])) {
          add(1, extent);
          add(pieces, extent);
        }
      }
      if (op == "MatMul" || op == "Attention" || op == "PackedAttention" || op == "LayerNorm") continue;
      for (const ValueId output : next.outputs) {
        for (const NodeId reader : consumers_[output]) {
          if (graph_.node(reader).phase == Phase::forward) front.push_back(reader);
        }
      }
    }
    return candidates;
  }

  bool is_free(const Node& node, std::size_t input) const {
    return input < node.inputs.size() && node.inputs[input] != kNone && free_[index(node.inputs[input])];
  }

  /// The ways to divide a node by its weight's outputs; empty where it has none.
  std::vector<Strategy> seeds(const Node& node) const {
    std::vector<Strategy> result;
    const std::string_view op = node.op->name;
    const bool weight_known =
        node.inputs.size() > 1 && node.inputs[1] != kNone && graph_.value(node.inputs[1]).role == Role::parameter;
    if (op == "MatMul" && weight_known) {
      const Shape& y = graph_.shape(node.outputs[0]);
      const int b_rank = graph_.shape(node.inputs[1]).rank();
      const int b_n = b_rank - (node.attrs.integer("trans_b") != 0 ? 2 : 1);
      for (const Sharding& s : column_candidates(node, y.rank() - 1, y.back())) {
        result.push_back({{Sharding::replicate(), s.at(b_n)}, {s}});
        if (node.inputs.size() > 2) result.back().inputs.push_back(s.at(0));
      }
    } else if (op == "Conv" && weight_known && node.attrs.integer("group", 1) == 1) {
      const Sharding s = Sharding::shard(1, 1, graph_.shape(node.outputs[0])[1], 1);
      result.push_back({{Sharding::replicate(), s.at(0)}, {s}});
      if (node.inputs.size() > 2) result.back().inputs.push_back(s.at(0));
    }
    return result;
  }

  bool divides_embedding(const Node& node) const {
    if (mode_ != SplitMode::megatron || node.op->name != "Gather" || !is_free(node, 0)) return false;
    const Shape& table = graph_.shape(node.inputs[0]);
    return graph_.value(node.inputs[1]).role == Role::input && table.rank() == 2 && node.attrs.integer("axis") == 0 &&
           table[0] >= plan_.size && !node.attrs.has("offset");
  }

  /// A lookup in a table that is divided by rows: each rank adds what it has.
  Strategy by_vocabulary(const Node& node) const {
    const Sharding rows = Sharding::shard(0, 1, graph_.shape(node.inputs[0])[0], 1);
    return {{rows, Sharding::replicate()}, {Sharding::partial()}};
  }

  /// The cheapest of the strategies that the wishes admit; divisions by the weight's outputs come last.
  Choice wished(NodeId id) {
    const Node& node = graph_.node(id);
    const std::vector<Sharding> inputs = shardings_of(node.inputs, {});
    std::vector<Strategy> strategies = strategies_of(node, inputs);
    if (divides_embedding(node)) strategies.push_back(by_vocabulary(node));
    Choice best;
    for (const Strategy& strategy : strategies) {
      if (wishes_->fit(graph_, node, strategy, plan_.size) == SplitWishes::Fit::no) continue;
      const Choice choice = priced(node, inputs, strategy, {});
      if (weight_of(node, choice) < weight_of(node, best)) best = choice;
    }
    if (best.cost >= kImpossible) best = wished_seed(id, inputs);
    if (best.cost >= kImpossible) {
      throw ModelError(fmt::format("node '{}' ({}): its device annotations divide it as it cannot run on t={}: {}",
                                   node.name, node.op->name, plan_.size, wishes_->text_of(graph_, node)));
    }
    plan_.gathered[index(id)] = wishes_->fit(graph_, node, best.strategy, plan_.size) == SplitWishes::Fit::gathered;
    return best;
  }

  Choice wished_seed(NodeId id, const std::vector<Sharding>& inputs) const {
    const Node& node = graph_.node(id);
    Choice best;
    double least = kImpossible;
    for (const Strategy& strategy : seeds(node)) {
      const SplitWishes::Fit fit = wishes_->fit(graph_, node, strategy, plan_.size);
      if (fit == SplitWishes::Fit::no || !sensible(strategy)) continue;
      const Choice here = priced(node, inputs, strategy, {});
      const Choice behind = fit == SplitWishes::Fit::gathered ? Choice{strategy, 0, 0} : trial(id, strategy);
      const double cost = here.cost + behind.cost + behind.gathers * kGatherPenalty;
      if (cost >= least) continue;
      least = cost;
      best = here;
    }
    return best;
  }

  Choice decide(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.phase == Phase::recompute) {
      plan_.gathered[index(id)] = plan_.gathered[index(node.forward)];
      return priced(node, shardings_of(node.inputs, {}), plan_.chosen[index(node.forward)], {});
    }
    if (node.phase == Phase::forward && wishes_ != nullptr && wishes_->speaks_of(graph_, node)) return wished(id);
    if (node.phase == Phase::forward && divides_embedding(node)) return {by_vocabulary(node), 0, 0};
    Choice best = cheapest(node, {});
    if (node.phase != Phase::forward) return best;
    const bool divided = !best.strategy.outputs[0].is_replicate();
    std::vector<Strategy> candidates = divided ? std::vector<Strategy>{} : seeds(node);
    std::erase_if(candidates, [&](const Strategy& s) { return !sensible(s); });
    if (candidates.empty()) return best;
    Choice found;
    for (const Strategy& candidate : candidates) {
      const std::vector<Sharding> inputs = shardings_of(node.inputs, {});
      const Choice here = priced(node, inputs, candidate, {});
      const Choice behind = mode_ == SplitMode::gather ? Choice{candidate, 0, 0} : trial(id, candidate);
      const Choice total{candidate, here.cost + behind.cost + behind.gathers * kGatherPenalty,
                         here.gathers + behind.gathers};
      if (total.cost < found.cost) found = total;
    }
    if (found.gathers > 0 || found.cost >= kImpossible) {
      plan_.notes.push_back(fmt::format("{} runs on every rank: what follows needs all its columns", node.name));
      return best;
    }
    found.cost = priced(node, shardings_of(node.inputs, {}), found.strategy, {}).cost;
    plan_.gathered[index(id)] = mode_ == SplitMode::gather;
    return found;
  }

  void take(NodeId id) {
    const Node& node = graph_.node(id);
    Choice choice = decide(id);
    const bool gathers = plan_.gathered[index(id)];
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId input = node.inputs[i];
      if (input == kNone || !free_[index(input)]) continue;
      free_[index(input)] = false;
      value(input) = choice.strategy.inputs[i];
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      value(node.outputs[i]) = gathers ? Sharding::replicate() : choice.strategy.outputs[i];
      if (gathers) plan_.bytes += (plan_.size - 1.0) / plan_.size * bytes_of(node.outputs[i]);
    }
    const bool heavy = node.op->name == "MatMul" || node.op->name == "Conv" || node.op->name == "Gather";
    if (node.phase == Phase::forward && heavy && !choice.strategy.outputs[0].is_replicate()) ++plan_.num_divided;
    plan_.bytes += choice.cost;
    plan_.chosen[index(id)] = std::move(choice.strategy);
  }

  /// The gradient of a divided parameter is wanted in the parameter's division, as are the addends of that gradient.
  void add_hints() {
    for (const auto& [parameter, gradient] : graph_.gradient_of) {
      std::vector<ValueId> todo{gradient};
      while (!todo.empty()) {
        const ValueId id = todo.back();
        todo.pop_back();
        hints_[index(id)] = value(parameter);
        const NodeId producer = graph_.value(id).producer;
        if (producer == kNone || graph_.node(producer).op->name != "Add") continue;
        for (const ValueId input : graph_.node(producer).inputs) {
          if (graph_.shape(input) == graph_.shape(id)) todo.push_back(input);
        }
      }
    }
  }

  const Graph& graph_;
  SplitMode mode_;
  const SplitWishes* wishes_;
  Consumers consumers_;
  std::vector<bool> free_;  ///< parameters and states whose division is still open
  std::vector<Sharding> hints_;
  SplitPlan plan_;
};

}  // namespace

SplitPlan plan_split(const Graph& graph, int size, SplitMode mode, const SplitWishes* wishes) {
  if (size == 1) {
    SplitPlan plan;
    plan.values.resize(static_cast<std::size_t>(graph.num_values()));
    plan.gathered.resize(static_cast<std::size_t>(graph.num_nodes()));
    for (const Node& node : graph.nodes()) {
      plan.chosen.push_back({std::vector<Sharding>(node.inputs.size()), std::vector<Sharding>(node.outputs.size())});
    }
    return plan;
  }
  return Planner(graph, size, mode, wishes).run();
}

}  // namespace dml
