#include "parallel/pipeline/stage_cost.h"

#include <algorithm>
#include <set>

#include "models/op.h"

namespace dml {
namespace {

double bytes_of(const Value& value) { return static_cast<double>(value.num_bytes()); }

double& time_of(StageCost& cost, Phase phase) {
  if (phase == Phase::forward) return cost.forward;
  return phase == Phase::weight_grad ? cost.weight_grad : cost.input_grad;  // with what it recomputes
}

}  // namespace

std::vector<StageCost> stage_costs(const Graph& graph, std::span<const int> stages, int num_stages) {
  std::vector<StageCost> costs(static_cast<std::size_t>(num_stages), StageCost{0, 0, 0, 0, 0, 0});
  std::vector<std::set<ValueId>> read_by_weights(costs.size());
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    const auto stage = static_cast<std::size_t>(stages[static_cast<std::size_t>(id)]);
    time_of(costs[stage], node.phase) += cost_of(graph, node).flops;
    for (const ValueId output : node.outputs) {
      if (output == kNone || node.phase != Phase::forward || node.op->is_alias) continue;
      costs[stage].activations += bytes_of(graph.value(output));
    }
    for (const ValueId input : node.inputs) {
      const bool held = input != kNone && graph.value(input).role == Role::activation;
      if (node.phase == Phase::weight_grad && held) read_by_weights[stage].insert(input);
    }
  }
  for (std::size_t stage = 0; stage < costs.size(); ++stage) {
    StageCost& cost = costs[stage];
    cost.overlapped = cost.forward + cost.input_grad + cost.weight_grad;
    for (const ValueId value : read_by_weights[stage]) cost.weight_inputs += bytes_of(graph.value(value));
    cost.activations = std::max(cost.activations, cost.weight_inputs);
  }
  return costs;
}

}  // namespace dml
