// What a compiler must know of an operation, apart from its kernels: shape rule, gradient, cost.
// models/ops/ has one file per family; models/ops/registry.cpp is the list of all of them.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/graph.h"

namespace dml {

struct TypedShape {
  DataType dtype = DataType::f32;
  Shape shape;
};

/// Floating-point operations and bytes read and written by one execution.
struct Cost {
  double flops = 0;
  double bytes = 0;
};

class GradientBuilder;

struct OpDef {
  std::string_view name;
  int min_inputs = 1;
  int max_inputs = 1;   ///< -1: any number
  int num_outputs = 1;  ///< -1: as many as the shape rule says
  /// Types and shapes of the outputs; throws std::invalid_argument with the values where the inputs disagree.
  std::vector<TypedShape> (*infer)(const Graph& graph, const Node& node) = nullptr;
  /// Appends the gradients; null where no gradient flows.
  void (*gradient)(GradientBuilder& builder, const Node& node) = nullptr;
  /// Null: no flops, and the bytes of all inputs and outputs.
  double (*flops)(const Graph& graph, const Node& node) = nullptr;
  /// The output is the input's memory under another shape.
  bool is_alias = false;
};

/// The definition of `name`, or null.
const OpDef* find_op(std::string_view name);
/// The definition of `name`; throws InternalError where there is none.
const OpDef* op(std::string_view name);
std::span<const OpDef> all_ops();

Cost cost_of(const Graph& graph, const Node& node);

/// What a gradient rule sees: the gradients of the node's outputs, and a place to put those of its inputs.
class GradientBuilder {
 public:
  GradientBuilder(Graph& graph, NodeId node);

  Graph& graph;
  NodeId node_id;
  std::vector<ValueId> output_grads;  ///< kNone where none reaches that output
  std::vector<ValueId> input_grads;   ///< to be filled; kNone where none flows
  std::vector<bool> wanted;           ///< inputs whose gradient somebody needs
  std::vector<Phase> phases;          ///< by input: what phase_of says

  /// Appends an operation of the given phase that differentiates this node; returns its first output. Its name is that
  /// of the node with .dx, or .dw in the weight phase, behind it, then a number from the second on.
  ValueId add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs = {}, Phase phase = Phase::input_grad);
  /// The same for operations with several outputs.
  std::vector<ValueId> add_all(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, Phase phase);
  /// A scalar constant of the graph.
  ValueId constant(float value);
  /// The phase in which a gradient of input `index` belongs: weight_grad if that leads to a parameter alone.
  Phase phase_of(int index) const;
  /// `grad` summed down to the shape of input `index` where that was broadcast.
  ValueId reduced_to(ValueId grad, int index);

 private:
  std::string name_of_next(const OpDef& op, Phase phase);

  std::map<std::string, int> num_of_suffix_;
};

}  // namespace dml
