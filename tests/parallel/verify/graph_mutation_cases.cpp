// Faults of divided graphs, planted for all ranks of a tensor index.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "models/op.h"
#include "tests/parallel/verify/planting.h"

namespace dml::test {
namespace {

/// Changes the divided graph of one tensor index and size on all its ranks.
std::string change_graph(World& world, Random& random, const std::function<std::string(SplitGraph&)>& change) {
  const Partition& model = *world.ranks[random() % world.ranks.size()];
  auto size = model.graphs.begin();
  std::advance(size, static_cast<std::ptrdiff_t>(random() % model.graphs.size()));
  const std::int64_t samples = size->first;
  auto changed = std::make_shared<SplitGraph>(*size->second);
  std::string text = change(*changed);
  if (text.empty()) return "";
  for (auto& rank : world.ranks) {
    if (rank->at.t == model.at.t && rank->graphs.contains(samples)) rank->graphs.at(samples) = changed;
  }
  return fmt::format("tensor index {}, {} samples: {}", model.at.t, samples, text);
}

using NodeWhere = std::function<bool(const SplitGraph& split, const Node& node)>;

std::optional<NodeId> pick_node(const SplitGraph& split, Random& random, const NodeWhere& where) {
  std::vector<NodeId> nodes;
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    if (where(split, split.graph.node(id))) nodes.push_back(id);
  }
  if (nodes.empty()) return std::nullopt;
  return one_of(nodes, random);
}

bool reads(const Node& node, ValueId value) { return std::ranges::find(node.inputs, value) != node.inputs.end(); }

/// A reader of a collective's result reads what went into it.
std::string bypass_collective(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    Graph& graph = split.graph;
    const auto collective = pick_node(split, random, [](const SplitGraph& s, const Node& n) {
      return n.op->name == "AllReduce" &&
             std::ranges::any_of(s.graph.nodes(), [&](const Node& reader) { return reads(reader, n.outputs[0]); });
    });
    if (!collective) return "";
    const Node& from = graph.node(*collective);
    const auto reader =
        pick_node(split, random, [&](const SplitGraph&, const Node& n) { return reads(n, from.outputs[0]); });
    if (!reader) return "";
    for (ValueId& input : graph.node(*reader).inputs) {
      if (input == from.outputs[0]) input = from.inputs[0];
    }
    return graph.node(*reader).name + " reads past " + from.name;
  });
}

/// A sum of addends is summed again.
std::string reduce_the_reduced(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    const NodeWhere sums = [](const SplitGraph&, const Node& n) { return n.op->name == "AllReduce"; };
    const auto first = pick_node(split, random, sums);
    const auto second = pick_node(split, random, sums);
    if (!first || !second || *first >= *second) return "";
    split.graph.node(*second).inputs[0] = split.graph.node(*first).outputs[0];
    return split.graph.node(*second).name + " of " + split.graph.node(*first).name;
  });
}

/// Reads another value of the same shape.
std::string wrong_input(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    Graph& graph = split.graph;
    const auto found = pick_node(split, random, [](const SplitGraph&, const Node& n) { return n.inputs[0] != kNone; });
    if (!found) return "";
    ValueId& input = graph.node(*found).inputs[0];
    std::vector<ValueId> others;
    for (ValueId id = 0; id < graph.num_values(); ++id) {
      if (id != input && graph.shape(id) == graph.shape(input) && graph.value(id).producer < *found)
        others.push_back(id);
    }
    if (others.empty()) return "";
    input = one_of(others, random);
    return graph.node(*found).name + " reads " + graph.value(input).name;
  });
}

/// An integer attribute that says which part is this rank's, or how parts lie.
std::string wrong_part(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    static const std::vector<std::string> kKeys{"offset", "whole", "begin", "units", "inner", "heads", "parts", "dim"};
    const auto keys_of = [](const Node& n) {
      std::vector<std::string> keys;
      std::ranges::copy_if(kKeys, std::back_inserter(keys), [&](const std::string& key) { return n.attrs.has(key); });
      return keys;
    };
    const auto found = pick_node(split, random, [&](const SplitGraph&, const Node& n) { return !keys_of(n).empty(); });
    if (!found) return "";
    Node& node = split.graph.node(*found);
    const std::string key = one_of(keys_of(node), random);
    node.attrs.set(key, node.attrs.integer(key) + 1);
    return node.name + " " + key;
  });
}

std::string wrong_counts(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    const auto found = pick_node(split, random, [](const SplitGraph&, const Node& n) { return n.attrs.has("counts"); });
    if (!found) return "";
    const auto counts = split.graph.node(*found).attrs.integers("counts");
    std::vector<std::int64_t> changed(counts.begin(), counts.end());
    changed[random() % changed.size()] += 1;
    split.graph.node(*found).attrs.set("counts", changed);
    return split.graph.node(*found).name;
  });
}

/// A value is filed, and shaped, as another part of the tensor than it is.
std::string wrong_shard(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    std::vector<ValueId> shards;
    for (ValueId id = 0; id < split.graph.num_values(); ++id) {
      const bool used = split.graph.value(id).producer != kNone || split.graph.value(id).role == Role::parameter;
      if (used && split.shards[static_cast<std::size_t>(id)].sharding.is_shard()) shards.push_back(id);
    }
    if (shards.empty()) return "";
    const ValueId id = one_of(shards, random);
    Sharding& s = split.shards[static_cast<std::size_t>(id)].sharding;
    switch (random() % 4) {
      case 0: s = Sharding::replicate(); break;
      case 1: s = Sharding::partial(); break;
      case 2: std::swap(s.outer, s.units); break;
      default: split.graph.value(id).shape[s.dim] += 1; return split.graph.value(id).name + " is larger";
    }
    const bool changed = !(s.outer == s.units && s.is_shard());
    return changed ? split.graph.value(id).name + " as " + s.to_string() : "";
  });
}

/// The gradient of a parameter is that of another one of the same shape.
std::string wrong_gradient(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    std::vector<std::pair<ValueId, ValueId>> pairs;
    for (const auto& [a, gradient_a] : split.graph.gradient_of) {
      for (const auto& [b, gradient_b] : split.graph.gradient_of) {
        if (a < b && split.graph.shape(a) == split.graph.shape(b)) pairs.emplace_back(a, b);
      }
    }
    if (pairs.empty()) return "";
    const auto [a, b] = one_of(pairs, random);
    std::swap(split.graph.gradient_of.at(a), split.graph.gradient_of.at(b));
    return split.graph.value(a).name + " and " + split.graph.value(b).name;
  });
}

bool has_epilogue(const Node& node) {
  return node.op->name.starts_with("Linear") || (node.op->name == "MatMul" && node.inputs.size() == 3);
}

/// A product does not add its bias.
std::string no_bias(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    const auto found = pick_node(split, random, [](const SplitGraph&, const Node& node) {
      return node.op->name == "MatMul" && node.inputs.size() == 3;
    });
    if (!found) return "";
    split.graph.node(*found).inputs.pop_back();
    return split.graph.node(*found).name;
  });
}

/// What an epilogue adds, sums or reads beside the product is another value of the same shape.
std::string wrong_epilogue(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    Graph& graph = split.graph;
    const auto found = pick_node(split, random, [](const SplitGraph&, const Node& n) { return has_epilogue(n); });
    if (!found) return "";
    ValueId& input = graph.node(*found).inputs.back();
    std::vector<ValueId> others;
    for (ValueId id = 0; id < graph.num_values(); ++id) {
      const Value& value = graph.value(id);
      const bool is_there = value.producer == kNone ? value.role != Role::activation : value.producer < *found;
      if (id != input && is_there && value.shape == graph.shape(input)) others.push_back(id);
    }
    if (others.empty()) return "";
    input = one_of(others, random);
    return graph.node(*found).name + " with " + graph.value(input).name;
  });
}

/// An epilogue writes what another node of its kind should.
std::string wrong_result(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    const NodeWhere has_two = [](const SplitGraph&, const Node& n) { return has_epilogue(n) && n.outputs.size() == 2; };
    const auto first = pick_node(split, random, has_two);
    const auto second = pick_node(split, random, has_two);
    if (!first || *first == *second) return "";
    std::swap(split.graph.node(*first).outputs[1], split.graph.node(*second).outputs[1]);
    return split.graph.node(*first).name + " and " + split.graph.node(*second).name;
  });
}

constexpr Mutation kGraphMutations[] = {
    {"addends are read as a whole", bypass_collective},
    {"a sum is summed again", reduce_the_reduced},
    {"another input", wrong_input},
    {"another part of a tensor", wrong_part},
    {"other counts of a gather", wrong_counts},
    {"another shard", wrong_shard},
    {"another parameter's gradient", wrong_gradient},
    {"a bias is left out", no_bias},
    {"an epilogue reads another value", wrong_epilogue},
    {"epilogues write each other's results", wrong_result},
};

}  // namespace

std::span<const Mutation> graph_mutations() { return kGraphMutations; }

}  // namespace dml::test
