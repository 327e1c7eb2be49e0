#include "parallel/pipeline/cut.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"

namespace dml {
namespace {

/// Ratios of a present CPU core: they weigh arithmetic against traffic, and need not be exact.
constexpr double kFlopsPerSecond = 150e9;
constexpr double kBytesPerSecond = 10e9;
constexpr double kTransferBytesPerSecond = 2e9;
constexpr double kTransferSeconds = 30e-6;
constexpr double kForwardAndBackward = 3;

/// Forward nodes that read no activation and no input: they go where their result is used.
std::vector<bool> weight_only(const Graph& graph) {
  std::vector<bool> depends(index(graph.num_values()), false);
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const Role role = graph.value(id).role;
    depends[index(id)] = role == Role::input || role == Role::label;
  }
  std::vector<bool> result(index(graph.num_nodes()), false);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    const bool any = std::any_of(node.inputs.begin(), node.inputs.end(),
                                 [&](ValueId input) { return input != kNone && depends[index(input)]; });
    for (const ValueId output : node.outputs) depends[index(output)] = any;
    result[index(id)] = !any;
  }
  return result;
}

/// The chain of places where the forward pass can be cut.
struct Chain {
  std::vector<NodeId> nodes;
  std::vector<double> cost_before;  ///< seconds of nodes [0, i)
  std::vector<double> crossing;     ///< seconds to move what lives between node i-1 and node i
  std::vector<bool> joined;         ///< node i-1 and node i are recomputed together
};

/// What a backward pass reads of a recomputed node is recomputed in the same stage.
void join_recomputed(Chain& chain, const Graph& graph, const std::vector<int>& place) {
  chain.joined.assign(chain.nodes.size() + 1, false);
  for (const Node& node : graph.nodes()) {
    if (node.phase == Phase::forward || node.forward == kNone) continue;
    for (const ValueId input : node.inputs) {
      const NodeId producer = input == kNone ? kNone : graph.value(input).producer;
      if (producer == kNone || graph.node(producer).phase != Phase::recompute) continue;
      const int from = place[index(graph.node(producer).forward)];
      for (int at = from + 1; from >= 0 && at <= place[index(node.forward)]; ++at) chain.joined[index(at)] = true;
    }
  }
}

Chain chain_of(const Graph& graph, const std::vector<bool>& aside) {
  Chain chain;
  chain.cost_before.push_back(0);
  std::vector<int> place(index(graph.num_nodes()), -1);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    if (node.phase != Phase::forward || aside[index(id)]) continue;
    const Cost cost = cost_of(graph, node);
    const double seconds = kForwardAndBackward * (cost.flops / kFlopsPerSecond + cost.bytes / kBytesPerSecond);
    place[index(id)] = static_cast<int>(chain.nodes.size());
    chain.nodes.push_back(id);
    chain.cost_before.push_back(chain.cost_before.back() + seconds);
  }
  chain.crossing.assign(chain.nodes.size() + 1, 0);
  const auto consumers = graph.consumers();
  for (std::size_t from = 0; from < chain.nodes.size(); ++from) {
    for (const ValueId output : graph.node(chain.nodes[from]).outputs) {
      int last = -1;
      for (const NodeId reader : consumers[output]) last = std::max(last, place[index(reader)]);
      const Value& value = graph.value(output);
      const auto size = static_cast<double>(value.shape.num_elements()) * static_cast<double>(size_of(value.dtype));
      // It is a message of its own, and its gradient comes back.
      const double seconds = 2 * (size / kTransferBytesPerSecond + kTransferSeconds);
      for (int at = static_cast<int>(from) + 1; at <= last; ++at) chain.crossing[index(at)] += seconds;
    }
  }
  join_recomputed(chain, graph, place);
  return chain;
}

/// A stage must compute something: a place right behind an alias is as good as the one before it, and left out. So is
/// one inside of what is recomputed together.
std::vector<int> places_of(const Graph& graph, const Chain& chain) {
  std::vector<int> places{0};
  for (int at = 1; at < static_cast<int>(chain.nodes.size()); ++at) {
    const bool alias_before = graph.node(chain.nodes[index(at - 1)]).op->is_alias;
    if (!alias_before && !chain.joined[index(at)]) places.push_back(at);
  }
  places.push_back(static_cast<int>(chain.nodes.size()));
  return places;
}

/// Ends of the stages, as indices into the chain: the partition whose slowest stage is fastest.
std::vector<int> balanced_ends(const Chain& chain, const std::vector<int>& places, int num_stages) {
  const std::size_t count = places.size();
  const auto computed = [&](std::size_t from, std::size_t to) {
    return chain.cost_before[index(places[to])] - chain.cost_before[index(places[from])];
  };
  const auto stage_cost = [&](std::size_t from, std::size_t to) {
    double cost = computed(from, to);
    if (from > 0) cost += chain.crossing[index(places[from])];
    if (to + 1 < count) cost += chain.crossing[index(places[to])];
    return cost;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> best(static_cast<std::size_t>(num_stages) + 1,
                                        std::vector<double>(count, kInfinity));
  std::vector<std::vector<std::size_t>> from(best.size(), std::vector<std::size_t>(count, 0));
  best[0][0] = 0;
  for (std::size_t stage = 1; stage < best.size(); ++stage) {
    for (std::size_t to = stage; to < count; ++to) {
      // The earlier a stage begins, the more it computes: beyond the best cost nothing is left to be found.
      for (std::size_t start = to; start-- > stage - 1 && computed(start, to) <= best[stage][to];) {
        const double cost = std::max(best[stage - 1][start], stage_cost(start, to));
        if (cost <= best[stage][to]) {
          best[stage][to] = cost;
          from[stage][to] = start;
        }
      }
    }
  }
  std::vector<int> ends(static_cast<std::size_t>(num_stages));
  std::size_t at = count - 1;
  for (std::size_t stage = best.size() - 1; stage > 0; --stage) {
    ends[stage - 1] = places[at];
    at = from[stage][at];
  }
  return ends;
}

std::vector<int> named_ends(const Graph& graph, const Chain& chain, int num_stages, std::span<const std::string> cut) {
  if (static_cast<int>(cut.size()) != num_stages - 1) {
    throw ModelError(fmt::format("--cut names {} nodes, {} stages have {} ends between them", cut.size(), num_stages,
                                 num_stages - 1));
  }
  std::vector<int> ends;
  for (const std::string& name : cut) {
    int end = -1;
    for (std::size_t i = 0; i < chain.nodes.size(); ++i) {
      const Node& node = graph.node(chain.nodes[i]);
      const bool matches = node.name == name || graph.value(node.outputs[0]).name == name;
      if (matches) end = static_cast<int>(i) + 1;
    }
    if (end < 0) throw ModelError(fmt::format("--cut {}: no such node (dmltrain model show lists them)", name));
    if (!ends.empty() && end <= ends.back()) {
      throw ModelError(fmt::format("--cut {}: does not come after '{}' in the model", name, cut[ends.size() - 1]));
    }
    if (end == static_cast<int>(chain.nodes.size())) {
      throw ModelError(fmt::format("--cut {}: is the end of the model, nothing is left for the stage behind it", name));
    }
    if (chain.joined[index(end)])
      throw ModelError(fmt::format("--cut {}: lies inside of what is recomputed together", name));
    ends.push_back(end);
  }
  ends.push_back(static_cast<int>(chain.nodes.size()));
  return ends;
}

/// A gradient, or what is recomputed, goes to the stage of its forward node; a sum of gradients to the first stage that
/// adds to it.
int gradient_stage(const Graph& graph, const Node& node, const std::vector<int>& stages) {
  const bool sum_of_gradients = node.op->name == "Add" || node.forward == kNone;
  if (!sum_of_gradients || node.phase == Phase::recompute) return stages[index(node.forward)];
  int stage = std::numeric_limits<int>::max();
  for (const ValueId input : node.inputs) {
    const NodeId producer = input == kNone ? kNone : graph.value(input).producer;
    if (producer != kNone) stage = std::min(stage, stages[index(producer)]);
  }
  DML_ASSERT(stage != std::numeric_limits<int>::max(), node.name);
  return stage;
}

/// The stages of all nodes, from where the stages of the chain end.
std::vector<int> stages_of_ends(const Graph& graph, const Chain& chain, const std::vector<bool>& aside,
                                const std::vector<int>& ends) {
  std::vector<int> stages(index(graph.num_nodes()), 0);
  const int num_stages = static_cast<int>(ends.size());
  for (std::size_t i = 0, stage = 0; i < chain.nodes.size(); ++i) {
    while (static_cast<int>(i) >= ends[stage]) ++stage;
    stages[index(chain.nodes[i])] = static_cast<int>(stage);
  }
  const auto consumers = graph.consumers();
  for (NodeId id = graph.num_nodes() - 1; id >= 0; --id) {
    if (graph.node(id).phase != Phase::forward || !aside[index(id)]) continue;
    int first = num_stages - 1;
    for (const ValueId output : graph.node(id).outputs) {
      for (const NodeId reader : consumers[output]) {
        if (graph.node(reader).phase == Phase::forward) first = std::min(first, stages[index(reader)]);
      }
    }
    stages[index(id)] = first;
  }
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).phase != Phase::forward) stages[index(id)] = gradient_stage(graph, graph.node(id), stages);
  }
  return stages;
}

void check_planned_ends(const Graph& graph, const Chain& chain, const std::vector<int>& ends) {
  int begin = 0;
  for (std::size_t stage = 0; stage < ends.size(); begin = ends[stage++]) {
    const auto computes = [&](NodeId id) { return !graph.node(id).op->is_alias; };
    if (std::none_of(chain.nodes.begin() + begin, chain.nodes.begin() + ends[stage], computes))
      throw ModelError(fmt::format("device annotations: pipeline stage {} of {} computes nothing", stage, ends.size()));
    if (chain.joined[index(begin)])
      throw ModelError(fmt::format("device annotations: stage {} begins inside of what is recomputed together", stage));
  }
}

/// Ends of the stages that a plan gives the nodes of the chain.
std::vector<int> planned_ends(const Graph& graph, const Chain& chain, int num_stages,
                              const std::unordered_map<std::string, int>& stage_of) {
  std::vector<int> ends(index(num_stages), static_cast<int>(chain.nodes.size()));
  int stage = 0;
  int behind_known = 0;
  for (std::size_t i = 0; i < chain.nodes.size(); ++i) {
    const Node& node = graph.node(chain.nodes[i]);
    const auto known = stage_of.find(graph.value(node.outputs[0]).name);
    if (known == stage_of.end()) continue;
    if (known->second < stage) {
      throw ModelError(fmt::format("device annotations: node '{}' goes back to pipeline stage {} behind stage {}",
                                   node.name, known->second, stage));
    }
    for (; stage < known->second; ++stage) ends[index(stage)] = behind_known;
    behind_known = static_cast<int>(i) + 1;
  }
  check_planned_ends(graph, chain, ends);
  return ends;
}

}  // namespace

std::vector<int> cut_stages(const Graph& graph, int num_stages, std::span<const std::string> cut) {
  if (num_stages == 1) return std::vector<int>(index(graph.num_nodes()), 0);
  const std::vector<bool> aside = weight_only(graph);
  const Chain chain = chain_of(graph, aside);
  const std::vector<int> places = places_of(graph, chain);
  if (static_cast<int>(places.size()) - 1 < num_stages) {
    throw ModelError(fmt::format("--p {}: the model can be cut into at most {} stages", num_stages, places.size() - 1));
  }
  const std::vector<int> ends =
      cut.empty() ? balanced_ends(chain, places, num_stages) : named_ends(graph, chain, num_stages, cut);
  return stages_of_ends(graph, chain, aside, ends);
}

std::vector<int> planned_stages(const Graph& graph, int num_stages,
                                const std::unordered_map<std::string, int>& stage_of) {
  if (num_stages == 1) return std::vector<int>(index(graph.num_nodes()), 0);
  const std::vector<bool> aside = weight_only(graph);
  const Chain chain = chain_of(graph, aside);
  return stages_of_ends(graph, chain, aside, planned_ends(graph, chain, num_stages, stage_of));
}

std::string stage_label(const Graph& graph, std::span<const int> stages, int stage) {
  std::string first, last;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    if (node.phase != Phase::forward || stages[index(id)] != stage) continue;
    const std::string name = node.scope.empty() ? node.name : node.scope.substr(0, node.scope.find('/'));
    if (first.empty()) first = name;
    last = name;
  }
  return first == last ? first : fmt::format("{} - {}", first, last);
}

}  // namespace dml
