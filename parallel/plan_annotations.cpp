#include "parallel/plan_annotations.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "kernels/error.h"
#include "models/index.h"

namespace dml {
namespace {

[[noreturn]] void fail_annotation(const std::string& node, const std::string& what) {
  throw ModelError(fmt::format("device annotations of node '{}': {}", node, what));
}

/// The dim that is divided, as blocks before the divided one, its units, and what is behind.
ShardingWish wish_of_dim(const ShardedDim& dim, std::size_t divided) {
  const auto product = [&](std::size_t from, std::size_t to) {
    std::int64_t extent = 1;
    for (std::size_t i = from; i < to; ++i) extent *= std::max<std::int64_t>(dim.blocks[i].extent, 1);
    return extent;
  };
  return {Sharding::Kind::shard, dim.axis, product(0, divided), dim.blocks[divided].extent,
          product(divided + 1, dim.blocks.size())};
}

/// What is wanted of a tensor, and into how many shards.
struct Wanted {
  ShardingWish wish;
  std::int64_t shards = 1;
};

Wanted wanted_of(const TensorPlacement& placement, const std::string& node) {
  Wanted wanted;
  if (placement.is_partial) wanted.wish.kind = Sharding::Kind::partial;
  for (const ShardedDim& dim : placement.dims) {
    for (std::size_t i = 0; i < dim.blocks.size(); ++i) {
      if (dim.blocks[i].shards == 1) continue;
      if (wanted.shards > 1)
        fail_annotation(node, fmt::format("'{}' is divided more than once; one dim can be divided", placement.tensor));
      wanted = {wish_of_dim(dim, i), dim.blocks[i].shards};
    }
  }
  const auto devices = static_cast<std::int64_t>(placement.devices.size());
  if (!placement.is_partial && devices != wanted.shards && devices > 0) {
    fail_annotation(node, fmt::format("'{}' has {} shards on {} devices or groups of them", placement.tensor,
                                      wanted.shards, devices));
  }
  return wanted;
}

const NodePlacement* placement_in(const PlacedNode& node, const std::string& configuration) {
  const auto found = std::find_if(node.placements.begin(), node.placements.end(),
                                  [&](const NodePlacement& p) { return p.configuration == configuration; });
  return found == node.placements.end() ? nullptr : &*found;
}

void add_wishes(CarriedPlan& plan, const PlacedNode& node, const NodePlacement& placement) {
  NodeWishes wishes{node.name, node.inputs, node.outputs, {}};
  for (const TensorPlacement& tensor : placement.tensors) {
    const auto [wish, shards] = wanted_of(tensor, node.name);
    if (shards > 1 && plan.t > 1 && shards != plan.t) {
      fail_annotation(node.name,
                      fmt::format("'{}' has {} shards, tensors before it have {}", tensor.tensor, shards, plan.t));
    }
    plan.t = std::max(plan.t, static_cast<int>(shards));
    wishes.tensors[tensor.tensor] = wish;
  }
  if (!wishes.tensors.empty()) plan.wishes.add(std::move(wishes));
}

/// The stages of the file's nodes: their own, or that of the first of those that read what they make.
class NodeStages {
 public:
  NodeStages(const DevicePlan& file, const DecidedLayout& layout) : layout_(layout) {
    stages_.resize(file.nodes.size());
    for (std::size_t i = file.nodes.size(); i-- > 0;) stages_[i] = stage_of(file.nodes[i]);
  }

  int operator[](std::size_t node) const { return stages_[node]; }

 private:
  std::optional<int> own_stage(const PlacedNode& node) const {
    for (const std::string& output : node.outputs) {
      const ValueId id = layout_.graph.find_value(output);
      if (id != kNone && layout_.graph.value(id).producer != kNone)
        return layout_.stages[index(layout_.graph.value(id).producer)];
    }
    return std::nullopt;
  }

  /// The last stage where nobody reads it.
  int reading_stage(const PlacedNode& node) const {
    int stage = layout_.placement.num_stages() - 1;
    for (const std::string& output : node.outputs) {
      const auto read = first_read_.find(output);
      if (read != first_read_.end()) stage = std::min(stage, read->second);
    }
    return stage;
  }

  int stage_of(const PlacedNode& node) {
    const int found = own_stage(node).value_or(reading_stage(node));
    for (const std::string& input : node.inputs) {
      const auto [read, is_first] = first_read_.emplace(input, found);
      if (!is_first) read->second = std::min(read->second, found);
    }
    return found;
  }

  const DecidedLayout& layout_;
  std::vector<int> stages_;
  std::unordered_map<std::string, int> first_read_;
};

/// How the tensors of the file are placed.
class TensorPlacements {
 public:
  explicit TensorPlacements(const DecidedLayout& layout) : layout_(layout), consumers_(layout.graph.consumers()) {}

  std::vector<TensorPlacement> of(const PlacedNode& node, int stage) const {
    std::vector<TensorPlacement> placements;
    std::set<std::string> said;
    const auto add = [&](const std::string& tensor, const std::optional<Sharding>& sharding) {
      if (sharding && said.insert(tensor).second) placements.push_back(placement(tensor, *sharding, stage));
    };
    for (const std::string& input : node.inputs) add(input, input_sharding(node, input));
    for (const std::string& output : node.outputs) {
      const ValueId id = layout_.graph.find_value(output);
      if (id != kNone) add(output, layout_.split.values[index(id)]);
    }
    return placements;
  }

 private:
  /// As the node itself reads it where it is one of the graph, else as all forward nodes that read it do.
  std::optional<Sharding> input_sharding(const PlacedNode& node, const std::string& input) const {
    const ValueId id = layout_.graph.find_value(input);
    if (id == kNone) return std::nullopt;
    const ValueId output = node.outputs.empty() ? kNone : layout_.graph.find_value(node.outputs[0]);
    const NodeId own = output == kNone ? kNone : layout_.graph.value(output).producer;
    std::optional<Sharding> found;
    for (const NodeId reader : consumers_[id]) {
      const Node& reads = layout_.graph.node(reader);
      if (reads.phase != Phase::forward) continue;
      const auto at = std::find(reads.inputs.begin(), reads.inputs.end(), id) - reads.inputs.begin();
      const Sharding& sharding = layout_.split.chosen[index(reader)].inputs[static_cast<std::size_t>(at)];
      if (reader == own) return sharding;
      if (found && *found != sharding) return std::nullopt;
      found = sharding;
    }
    return found;
  }

  TensorPlacement placement(const std::string& tensor, const Sharding& sharding, int stage) const {
    if (sharding.is_partial()) return {tensor, {}, {}, true};
    TensorPlacement result{tensor, {}, {}, false};
    std::vector<std::int64_t> devices(static_cast<std::size_t>(layout_.split.size));
    std::iota(devices.begin(), devices.end(), std::int64_t{layout_.placement.position(stage)} * layout_.split.size);
    if (sharding.is_replicate()) {
      result.devices.push_back(devices);
      return result;
    }
    for (const std::int64_t device : devices) result.devices.push_back({device});
    ShardedDim dim{sharding.dim, {}};
    if (sharding.outer > 1) dim.blocks.push_back({sharding.outer, 1});
    dim.blocks.push_back({sharding.units, layout_.split.size});
    if (sharding.inner > 1) dim.blocks.push_back({sharding.inner, 1});
    result.dims.push_back(dim);
    return result;
  }

  const DecidedLayout& layout_;
  Consumers consumers_;
};

}  // namespace

CarriedPlan carried_plan(const DevicePlan& file, const DeviceConfiguration& configuration) {
  CarriedPlan plan;
  plan.configuration = configuration.name;
  std::map<int, int> numbers;
  for (const PlacedNode& node : file.nodes) {
    const NodePlacement* placement = placement_in(node, configuration.name);
    if (placement == nullptr) continue;
    if (placement->stage) numbers[*placement->stage] = 0;
    add_wishes(plan, node, *placement);
  }
  int next = 0;
  for (auto& [number, stage] : numbers) stage = next++;
  plan.num_stages = std::max(next, 1);
  for (const PlacedNode& node : file.nodes) {
    const NodePlacement* placement = placement_in(node, configuration.name);
    if (placement == nullptr || !placement->stage) continue;
    for (const std::string& output : node.outputs) plan.stage_of[output] = numbers.at(*placement->stage);
  }
  return plan;
}

DevicePlan annotated(DevicePlan file, const DecidedLayout& layout) {
  const int num_devices = layout.placement.num_positions() * layout.split.size;
  const std::string name = fmt::format("p{}t{}", layout.placement.num_positions(), layout.split.size);
  file.configurations = {{name, num_devices, {}}};
  for (int device = 0; device < num_devices; ++device)
    file.configurations[0].devices.push_back(
        fmt::format("p{}.t{}", device / layout.split.size, device % layout.split.size));
  const NodeStages stages(file, layout);
  const TensorPlacements placements(layout);
  std::set<int> used;
  for (std::size_t i = 0; i < file.nodes.size(); ++i) {
    used.insert(stages[i]);
    file.nodes[i].placements = {{name, stages[i], placements.of(file.nodes[i], stages[i])}};
  }
  for (int stage = 0; stage < layout.placement.num_stages(); ++stage) {
    if (!used.contains(stage))
      throw ModelError(fmt::format("stage {} holds no whole node of the file: use fewer stages, or --cut", stage));
  }
  return file;
}

}  // namespace dml
