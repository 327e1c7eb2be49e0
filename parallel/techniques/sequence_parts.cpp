#include "parallel/techniques/sequence_parts.h"

#include <algorithm>
#include <iterator>

#include "models/index.h"
#include "models/op.h"
#include "parallel/cost/kernel_size.h"
#include "parallel/tensor/rule.h"

namespace dml {
namespace {

// Families whose operations go through tokens one by one; sums over tokens are sums of the parts' sums.
constexpr std::string_view kByToken[] = {
    "LayerNorm", "LayerNormGrad", "LayerNormParamGrad", "Add", "Relu", "Tanh", "ReluGrad", "Gelu", "Dropout", "SumTo"};

constexpr int kTokenDim = 1;

bool is_replicate(const Sharding& sharding) { return sharding.is_replicate(); }

class SequenceDivision {
 public:
  SequenceDivision(SplitPlan& plan, const Graph& graph)
      : plan_(plan), graph_(graph), in_parts_(index(graph.num_values()), false) {}

  void run() {
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      const Node& node = graph_.node(id);
      if (node.phase == Phase::recompute) {
        repeat(node, id);
      } else if (is_alike(id)) {
        divide(node, id);
      }
    }
    if (!plan_.by_sequence)
      plan_.notes.push_back("sequence parallelism divides nothing: no sum over the tensor axis is of enough tokens");
  }

 private:
  /// All ranks do the same, token by token.
  bool is_alike(NodeId id) const {
    const Strategy& strategy = plan_.chosen[index(id)];
    const std::string_view family = family_of(graph_.node(id).op->name);
    return std::find(std::begin(kByToken), std::end(kByToken), family) != std::end(kByToken) &&
           std::ranges::all_of(strategy.inputs, is_replicate) && std::ranges::all_of(strategy.outputs, is_replicate);
  }

  /// What a reader by tokens would find: parts, the part that is left of a sum, or all of it.
  Sharding found(ValueId id) const {
    if (id == kNone) return {};
    const Sharding& sharding = plan_.values[index(id)];
    if (in_parts_[index(id)]) return sharding;
    const Shape& shape = graph_.shape(id);
    constexpr int kRank = 3;
    const bool is_sum = sharding.is_partial() && shape.rank() == kRank && shape[kTokenDim] >= plan_.size;
    return is_sum ? Sharding::shard(kTokenDim, 1, shape[kTokenDim], 1) : Sharding::replicate();
  }

  void divide(const Node& node, NodeId id) {
    const TensorRule* rule = find_tensor_rule(node.op->name);
    if (rule == nullptr || rule->strategies == nullptr) return;
    std::vector<Sharding> inputs;
    for (const ValueId input : node.inputs) inputs.push_back(found(input));
    const Strategy forward = node.forward == kNone ? Strategy{} : plan_.chosen[index(node.forward)];
    std::vector<Strategy> ways;
    rule->strategies({graph_, node, inputs, forward.inputs, forward.outputs, nullptr}, ways);
    const auto way = std::ranges::find_if(ways, [&](const Strategy& strategy) { return keeps(strategy, inputs); });
    if (way == ways.end()) return;
    take(node, id, *way);
    for (const ValueId output : node.outputs) in_parts_[index(output)] = plan_.values[index(output)].is_shard();
    plan_.by_sequence = true;
  }

  /// A copy of a forward node is divided as that.
  void repeat(const Node& node, NodeId id) {
    take(node, id, plan_.chosen[index(node.forward)]);
    const std::vector<ValueId>& originals = graph_.node(node.forward).outputs;
    for (std::size_t i = 0; i < originals.size(); ++i)
      in_parts_[index(node.outputs[i])] = in_parts_[index(originals[i])];
  }

  /// Whether what is there in parts is read so, and nothing else is a sum.
  static bool keeps(const Strategy& strategy, const std::vector<Sharding>& inputs) {
    bool any = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (strategy.inputs[i].is_partial() || (inputs[i].is_shard() && strategy.inputs[i] != inputs[i])) return false;
      any = any || inputs[i].is_shard();
    }
    return any;
  }

  void take(const Node& node, NodeId id, Strategy strategy) {
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      plan_.values[index(node.outputs[i])] = plan_.gathered[index(id)] ? Sharding::replicate() : strategy.outputs[i];
    plan_.chosen[index(id)] = std::move(strategy);
  }

  SplitPlan& plan_;
  const Graph& graph_;
  std::vector<bool> in_parts_;  ///< by value: divided by tokens
};

}  // namespace

void divide_sequence(SplitPlan& plan, const Graph& graph) { SequenceDivision(plan, graph).run(); }

}  // namespace dml
