#include "parallel/techniques/sequence_parts.h"

#include <algorithm>
#include <iterator>

#include "models/index.h"
#include "models/op.h"
#include "parallel/cost/kernel_size.h"

namespace dml {
namespace {

// Families whose operations go through tokens one by one; sums over tokens are sums of the parts' sums.
constexpr std::string_view kByToken[] = {
    "LayerNorm", "LayerNormGrad", "LayerNormParamGrad", "Add", "Relu", "Tanh", "ReluGrad", "Gelu", "Dropout", "SumTo"};

class Finder {
 public:
  explicit Finder(const SplitGraph& split)
      : split_(split),
        parts_{std::vector<bool>(index(split.graph.num_nodes())), std::vector<bool>(index(split.graph.num_values()))} {}

  SequenceParts find() {
    const Graph& graph = split_.graph;
    for (NodeId id = 0; id < graph.num_nodes(); ++id) {
      if (!goes_by_token(graph.node(id))) continue;
      parts_.nodes[index(id)] = true;
      for (const ValueId output : graph.node(id).outputs) parts_.values[index(output)] = is_tokens(output);
    }
    const auto consumers = graph.consumers();
    for (NodeId id = 0; id < graph.num_nodes(); ++id) {
      if (graph.node(id).op->name != "AllReduce") continue;
      const ValueId sum = graph.node(id).outputs[0];
      const auto& readers = consumers[index(sum)];
      parts_.values[index(sum)] =
          is_tokens(sum) && !readers.empty() &&
          std::all_of(readers.begin(), readers.end(), [&](NodeId reader) { return parts_.nodes[index(reader)]; });
    }
    return std::move(parts_);
  }

 private:
  /// Of several tokens: a statistic or a row for each.
  bool is_tokens(ValueId id) const {
    const Value& value = split_.graph.value(id);
    return value.role == Role::activation && value.shape.rank() > 1 && value.shape.num_elements() > 1;
  }

  bool goes_by_token(const Node& node) const {
    const std::string_view family = family_of(node.op->name);
    if (std::find(std::begin(kByToken), std::end(kByToken), family) == std::end(kByToken)) return false;
    const auto is_whole = [&](ValueId id) {
      return id == kNone || split_.graph.value(id).role != Role::activation ||
             split_.shards[index(id)].sharding.is_replicate();
    };
    const bool reads_tokens =
        std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return id != kNone && is_tokens(id); });
    return reads_tokens && std::all_of(node.inputs.begin(), node.inputs.end(), is_whole) &&
           std::all_of(node.outputs.begin(), node.outputs.end(), is_whole);
  }

  const SplitGraph& split_;
  SequenceParts parts_;
};

}  // namespace

SequenceParts sequence_parts(const SplitGraph& split) { return Finder(split).find(); }

}  // namespace dml
