// How one operation can run on divided values: its tensor-split rule. models/ops/README.md lists the operations;
// parallel/tensor/rules.cpp has one row for each.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "models/graph.h"
#include "models/op.h"
#include "parallel/tensor/sharding.h"

namespace dml {

/// One way to run a node: what it needs of each input, and what its outputs then are.
struct Strategy {
  std::vector<Sharding> inputs;
  std::vector<Sharding> outputs;
};

/// What a rule sees.
struct RuleContext {
  const Graph& graph;
  const Node& node;
  std::span<const Sharding> inputs;          ///< what the inputs are now; Replicate for absent ones
  std::span<const Sharding> forward_inputs;  ///< of the node that this one differentiates: what its inputs became
  std::span<const Sharding> forward_outputs;
  const Sharding* wanted = nullptr;  ///< the division in which the first output is wanted, where that is known

  const Shape& input_shape(std::size_t i) const { return graph.shape(node.inputs[i]); }
  const Shape& output_shape(std::size_t i) const { return graph.shape(node.outputs[i]); }
  bool has_input(std::size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNone; }
};

/// Appends the strategies beside "everything replicated", which is always possible.
using RuleFn = void (*)(const RuleContext& context, std::vector<Strategy>& strategies);
/// Makes attributes that speak of whole values speak of this rank's parts; null where none do.
using LocalizeFn = void (*)(Attributes& attrs, const Graph& graph, const Node& node, const Strategy& strategy,
                            TensorPlace place);

struct TensorRule {
  std::string_view name;
  RuleFn strategies = nullptr;  ///< null: only replicated
  LocalizeFn localize = nullptr;
};

/// Null where the operation has none: it runs replicated.
const TensorRule* find_tensor_rule(std::string_view op);

// Rules by family, in rules_*.cpp.
namespace split_rules {
void elementwise(const RuleContext&, std::vector<Strategy>&);
void linear(const RuleContext&, std::vector<Strategy>&);   ///< elementwise, and a sum of addends stays one
void product(const RuleContext&, std::vector<Strategy>&);  ///< Mul, Div: linear in the first (Mul: in either)
void matmul(const RuleContext&, std::vector<Strategy>&);
void reshape(const RuleContext&, std::vector<Strategy>&);
void transpose(const RuleContext&, std::vector<Strategy>&);
void expand(const RuleContext&, std::vector<Strategy>&);
void sum_to(const RuleContext&, std::vector<Strategy>&);
void reduce(const RuleContext&, std::vector<Strategy>&);
void along_axis(const RuleContext&, std::vector<Strategy>&);  ///< any dim but `axis` may be divided
void slice(const RuleContext&, std::vector<Strategy>&);
void split(const RuleContext&, std::vector<Strategy>&);
void concat(const RuleContext&, std::vector<Strategy>&);
void gather(const RuleContext&, std::vector<Strategy>&);
void gather_grad(const RuleContext&, std::vector<Strategy>&);
void layer_norm(const RuleContext&, std::vector<Strategy>&);
void layer_norm_grad(const RuleContext&, std::vector<Strategy>&);
void layer_norm_param_grad(const RuleContext&, std::vector<Strategy>&);
void batch_norm(const RuleContext&, std::vector<Strategy>&);
void conv(const RuleContext&, std::vector<Strategy>&);
void conv_input_grad(const RuleContext&, std::vector<Strategy>&);
void conv_weight_grad(const RuleContext&, std::vector<Strategy>&);
void pool(const RuleContext&, std::vector<Strategy>&);
void attention(const RuleContext&, std::vector<Strategy>&);
void attention_grad(const RuleContext&, std::vector<Strategy>&);
void cross_entropy(const RuleContext&, std::vector<Strategy>&);
void cross_entropy_grad(const RuleContext&, std::vector<Strategy>&);

void localize_shape(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_slice(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_slice_grad(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_split(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_gather(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_gather_grad(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_attention(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_dropout(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
void localize_cross_entropy_grad(Attributes&, const Graph&, const Node&, const Strategy&, TensorPlace);
}  // namespace split_rules

}  // namespace dml
