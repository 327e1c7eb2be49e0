// How values travel between stages: along the chain, one stage at a time, so that only neighbours talk.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"
#include "models/index.h"
#include "parallel/build_tasks.h"

namespace dml {
namespace {

/// Whether a value is the sum of contributions to a parameter's gradient.
bool is_gradient_sum(const Graph& graph, ValueId value) {
  if (graph.value(value).producer == kNone) return false;
  const Node& node = graph.node(graph.value(value).producer);
  return node.op->name == "Add" && node.phase == Phase::weight_grad && node.forward == kNone;
}

/// What such a sum adds up, sorted.
std::vector<ValueId> leaves_of(const Graph& graph, ValueId sum) {
  std::vector<ValueId> leaves;
  std::vector<ValueId> todo{sum};
  while (!todo.empty()) {
    const ValueId id = todo.back();
    todo.pop_back();
    if (is_gradient_sum(graph, id)) {
      for (const ValueId input : graph.node(graph.value(id).producer).inputs) todo.push_back(input);
    } else {
      leaves.push_back(id);
    }
  }
  std::sort(leaves.begin(), leaves.end());
  return leaves;
}

/// Whether the position of stage `next` has what was made in stage `made` and came through the stages up to `at`.
bool is_there(const Placement& placement, int made, int at, int next) {
  const auto [first, last] = std::minmax(made, at);
  for (int stage = first; stage <= last; ++stage) {
    if (placement.position(stage) == placement.position(next)) return true;
  }
  return false;
}

}  // namespace

StageMap::StageMap(const SplitGraph& split, std::span<const int> stages, const Placement& placement, bool needs_output)
    : down_(index(placement.num_stages())),
      up_(index(placement.num_stages())),
      nodes_(index(placement.num_stages())),
      addend_of_(index(split.graph.num_values()), kNone),
      lives_(index(split.graph.num_nodes()), false),
      with_inputs_(index(split.graph.num_nodes()), false) {
  find_addends(split);
  find_live(split, needs_output);
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    if (lives_[index(id)]) nodes_[index(stages[index(id)])].push_back(id);
  }
  const auto consumers = split.graph.consumers();
  find_travels(split, stages, placement, consumers);
  find_with_inputs(split.graph, stages, consumers);
}

void StageMap::find_addends(const SplitGraph& split) {
  for (const auto& [parameter, gradient] : split.graph.gradient_of) {
    if (!is_gradient_sum(split.graph, gradient)) claim(parameter, {gradient});
  }
  for (const auto& [parameter, gradient] : split.graph.gradient_of) {
    if (!is_gradient_sum(split.graph, gradient)) continue;
    std::vector<ValueId> leaves = leaves_of(split.graph, gradient);
    const bool shared =
        std::adjacent_find(leaves.begin(), leaves.end()) != leaves.end() ||
        std::any_of(leaves.begin(), leaves.end(), [&](ValueId leaf) { return addend_of(leaf) != kNone; });
    // A value that is an addend twice, or of two gradients: that sum is computed by its nodes.
    if (shared) leaves = {gradient};
    claim(parameter, std::move(leaves));
  }
}

void StageMap::claim(ValueId parameter, std::vector<ValueId> addends) {
  for (const ValueId addend : addends) addend_of_[index(addend)] = parameter;
  addends_[parameter] = std::move(addends);
}

void StageMap::find_live(const SplitGraph& split, bool needs_output) {
  const Graph& graph = split.graph;
  std::vector<bool> needed(index(graph.num_values()), false);
  if (graph.loss != kNone) needed[index(graph.loss)] = true;
  if (needs_output) needed[index(graph.output)] = true;
  for (const auto& [state, next] : graph.next_state) needed[index(next)] = true;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    if (addend_of_[index(id)] != kNone) needed[index(id)] = true;
  }
  for (NodeId id = graph.num_nodes() - 1; id >= 0; --id) {
    const Node& node = graph.node(id);
    const bool live =
        std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) { return needed[index(output)]; });
    lives_[index(id)] = live;
    if (!live) continue;
    for (const ValueId input : node.inputs) {
      if (input != kNone) needed[index(input)] = true;
    }
  }
}

void StageMap::find_travels(const SplitGraph& split, std::span<const int> stages, const Placement& placement,
                            const Consumers& consumers) {
  const Graph& graph = split.graph;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const NodeId producer = graph.value(id).producer;
    if (producer == kNone || !lives_[index(producer)]) continue;
    const int made = stages[index(producer)];
    int lowest = made;
    int highest = made;
    for (const NodeId reader : consumers[id]) {
      if (!lives_[index(reader)]) continue;
      lowest = std::min(lowest, stages[index(reader)]);
      highest = std::max(highest, stages[index(reader)]);
    }
    DML_ASSERT(highest == made || graph.node(producer).phase == Phase::forward,
               fmt::format("gradient {} is needed in a later stage", graph.value(id).name));
    for (int stage = made; stage < highest; ++stage) {
      if (!is_there(placement, made, stage, stage + 1)) down_[index(stage)].push_back(id);
    }
    for (int stage = made; stage > lowest; --stage) {
      if (!is_there(placement, made, stage, stage - 1)) up_[index(stage)].push_back(id);
    }
  }
}

void StageMap::find_with_inputs(const Graph& graph, std::span<const int> stages, const Consumers& consumers) {
  for (NodeId id = graph.num_nodes() - 1; id >= 0; --id) {
    const Node& node = graph.node(id);
    if (!lives_[index(id)] || node.phase == Phase::forward) continue;
    const auto is_awaited = [&](ValueId output) {
      const auto& readers = consumers[output];
      return std::any_of(readers.begin(), readers.end(), [&](NodeId reader) {
        return lives_[index(reader)] && (with_inputs_[index(reader)] || stages[index(reader)] != stages[index(id)]);
      });
    };
    with_inputs_[index(id)] =
        node.phase == Phase::input_grad || std::any_of(node.outputs.begin(), node.outputs.end(), is_awaited);
  }
}

}  // namespace dml
