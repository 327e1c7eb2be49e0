#include "models/autodiff.h"

#include <unordered_set>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

bool is_loss(const Node& node) {
  return node.op->name == "CrossEntropy" || node.op->name == "MeanSquaredError" || node.op->name == "WeightedLoss";
}

class Backward {
 public:
  explicit Backward(Graph& graph) : graph_(graph), num_forward_(graph.num_nodes()) {
    const auto num_values = static_cast<std::size_t>(graph.num_values());
    wanted_.resize(num_values);
    is_fed_.resize(num_values);
    contributions_.resize(num_values);
    trace_forward();
  }

  void run() {
    const NodeId last = graph_.value(graph_.loss).producer;
    DML_ASSERT(last != kNone && is_loss(graph_.node(last)), "the loss is not computed by a loss operation");
    differentiate(last);
    for (NodeId id = num_forward_ - 1; id >= 0; --id) {
      if (id != last && reaches_gradient(id)) differentiate(id);
    }
    for (ValueId id = 0; id < static_cast<ValueId>(contributions_.size()); ++id) {
      if (graph_.value(id).role != Role::parameter || contributions_of(id).empty()) continue;
      graph_.gradient_of[id] = owned(id, gradient_of(id));
    }
  }

 private:
  std::vector<ValueId>& contributions_of(ValueId id) { return contributions_[static_cast<std::size_t>(id)]; }
  bool is_wanted(ValueId id) const { return id != kNone && wanted_[static_cast<std::size_t>(id)]; }
  bool is_fed(ValueId id) const { return id != kNone && is_fed_[static_cast<std::size_t>(id)]; }

  // Which values depend on a parameter in a way that can be differentiated, and which on what is fed or moves.
  void trace_forward() {
    for (ValueId id = 0; id < graph_.num_values(); ++id) {
      const Role role = graph_.value(id).role;
      wanted_[static_cast<std::size_t>(id)] = role == Role::parameter;
      is_fed_[static_cast<std::size_t>(id)] = role == Role::input || role == Role::label || role == Role::state;
    }
    for (const Node& node : graph_.nodes()) {
      bool wanted = false;
      bool fed = false;
      for (const ValueId input : node.inputs) {
        wanted = wanted || is_wanted(input);
        fed = fed || is_fed(input);
      }
      for (const ValueId output : node.outputs) {
        wanted_[static_cast<std::size_t>(output)] =
            wanted && node.op->gradient != nullptr && is_float(graph_.value(output).dtype);
        is_fed_[static_cast<std::size_t>(output)] = fed;
      }
    }
  }

  bool reaches_gradient(NodeId id) {
    for (const ValueId output : graph_.node(id).outputs) {
      if (!contributions_of(output).empty()) return true;
    }
    return false;
  }

  Phase phase_of(ValueId id) const { return is_fed(id) ? Phase::input_grad : Phase::weight_grad; }

  void differentiate(NodeId id) {
    const Node node = graph_.node(id);  // a copy: rules append nodes
    GradientBuilder builder(graph_, id);
    bool wants_any = false;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      builder.wanted[i] = is_wanted(node.inputs[i]);
      builder.phases[i] = phase_of(node.inputs[i]);
      wants_any = wants_any || builder.wanted[i];
    }
    if (!wants_any) return;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) builder.output_grads[i] = gradient_of(node.outputs[i]);
    node.op->gradient(builder, node);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (builder.wanted[i]) contribute(node, i, builder.input_grads[i]);
    }
  }

  void contribute(const Node& node, std::size_t index, ValueId gradient) {
    const ValueId input = node.inputs[index];
    if (gradient == kNone) {
      throw ModelError("node '" + node.name + "' (" + std::string(node.op->name) + "): no gradient goes to input " +
                       std::to_string(index) + " ('" + graph_.value(input).name + "'), which depends on a parameter");
    }
    DML_ASSERT(graph_.shape(gradient) == graph_.shape(input),
               "the gradient of input " + std::to_string(index) + " of '" + node.name + "' is " +
                   graph_.shape(gradient).to_string() + ", the input " + graph_.shape(input).to_string());
    contributions_of(input).push_back(gradient);
  }

  /// The sum of what has been contributed to `id`; kNone if that is nothing.
  ValueId gradient_of(ValueId id) {
    std::vector<ValueId>& parts = contributions_of(id);
    if (parts.empty()) return kNone;
    const Node like = node_of_sum(id);
    for (std::size_t i = 1; i < parts.size(); ++i) {
      parts[0] = graph_.add("Add", {parts[0], parts[i]}, {}, like.name + (i > 1 ? std::to_string(i) : ""), &like);
    }
    parts.resize(1);
    return parts[0];
  }

  Node node_of_sum(ValueId id) const {
    const Value& value = graph_.value(id);
    Node like;
    like.name = value.name + ".dsum";
    like.phase = phase_of(id);
    like.forward = value.producer;
    if (value.producer != kNone) like.scope = graph_.node(value.producer).scope;
    return like;
  }

  /// A gradient that is already another parameter's is copied.
  ValueId owned(ValueId parameter, ValueId gradient) {
    if (taken_.insert(gradient).second) return gradient;
    const Node like = node_of_sum(parameter);
    const auto attrs = Attributes().set("shape", graph_.shape(gradient).to_vector());
    return graph_.add("Expand", {gradient}, attrs, graph_.value(parameter).name + ".dcopy", &like);
  }

  Graph& graph_;
  NodeId num_forward_;
  std::vector<bool> wanted_;
  std::vector<bool> is_fed_;
  std::vector<std::vector<ValueId>> contributions_;
  std::unordered_set<ValueId> taken_;
};

}  // namespace

void append_backward(Graph& graph) {
  DML_ASSERT(graph.loss != kNone, "the graph has no loss");
  DML_ASSERT(graph.gradient_of.empty(), "the graph has its gradients already");
  Backward(graph).run();
}

}  // namespace dml
