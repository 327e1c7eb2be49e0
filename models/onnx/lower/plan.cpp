#include "models/onnx/lower/plan.h"

#include <algorithm>
#include <map>

#include "kernels/error.h"

namespace dml {
namespace {

constexpr std::size_t kNamesListed = 3;

bool result_is_float(const OnnxOperator& op, const OnnxNode& node, const ImportPlan& plan) {
  switch (op.result) {
    case ResultType::as_first: return plan.of(node.input(0)).is_float;
    case ResultType::as_second: return plan.of(node.input(1)).is_float;
    case ResultType::boolean:
    case ResultType::integer: return false;
    case ResultType::by_attribute: break;
  }
  if (node.type() == "Cast") return is_float(stored_type(static_cast<std::int32_t>(node.integer("to", 0)), node.name));
  if (const auto* tensor = node.tensor("value")) return is_float(stored_type(tensor->data_type(), node.name));
  return !node.has("value_int") && !node.has("value_ints");
}

/// One line for each operation: "Foo (opset 17) in '/a', '/b' and 3 more".
void throw_unsupported(const OnnxModel::Content& content, const std::vector<const OnnxNode*>& nodes) {
  std::map<std::string, std::vector<std::string>> names;
  for (const OnnxNode* node : nodes) {
    const bool is_own = node->domain().empty() || node->domain() == "ai.onnx";
    const std::string domain =
        is_own ? "opset " + std::to_string(content.opset) : "domain " + printable(node->domain());
    names[printable(node->type()) + " (" + domain + ")"].push_back(in_quotes(node->name));
  }
  std::string text;
  for (const auto& [operation, places] : names) {
    text += (text.empty() ? "" : "; ") + operation + " in ";
    for (std::size_t i = 0; i < std::min(places.size(), kNamesListed); ++i) text += (i > 0 ? ", " : "") + places[i];
    if (places.size() > kNamesListed) text += " and " + std::to_string(places.size() - kNamesListed) + " more";
  }
  throw ModelError("operations that are not supported: " + text);
}

void find_operators(ImportPlan& plan, const OnnxModel::Content& content, const RewrittenGraph& graph) {
  std::vector<const OnnxNode*> unsupported;
  for (const OnnxNode& node : graph.nodes) {
    plan.operators.push_back(find_operator(node.type(), node.domain()));
    if (plan.operators.back() == nullptr) unsupported.push_back(&node);
  }
  if (!unsupported.empty()) throw_unsupported(content, unsupported);
}

ValueFacts facts_of(const ImportPlan& plan, const OnnxOperator& op, const OnnxNode& node, int index) {
  ValueFacts facts;
  facts.producer = index;
  facts.is_float = result_is_float(op, node, plan);
  if (op.fold == nullptr) return facts;
  facts.is_known = true;
  if (is_shape_query(op)) return facts;
  for (const std::string& input : node.inputs) {
    if (input.empty()) continue;
    facts.is_known = facts.is_known && plan.of(input).is_known;
    facts.may_train = facts.may_train || (facts.is_float && plan.of(input).may_train);
  }
  return facts;
}

void find_facts(ImportPlan& plan, const OnnxModel::Content& content, const RewrittenGraph& graph) {
  for (const OnnxInput& input : content.inputs) plan.facts[input.name].is_float = is_float(input.dtype);
  for (const OnnxInitializer& initializer : graph.initializers) {
    const bool floats = is_float(initializer.dtype);
    plan.facts[initializer.name] = {true, floats, floats, -1};
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const OnnxNode& node = graph.nodes[i];
    const ValueFacts facts = facts_of(plan, *plan.operators[i], node, static_cast<int>(i));
    for (const std::string& output : node.outputs) {
      if (!output.empty()) plan.facts[output] = facts;
    }
  }
}

/// Values that are still to be visited: as tensors of the Graph, or only by their elements.
struct Wanted {
  std::unordered_set<std::string> values, elements;

  bool any(const std::unordered_set<std::string>& set, const OnnxNode& node) const {
    return std::any_of(node.outputs.begin(), node.outputs.end(), [&](const auto& name) { return set.contains(name); });
  }
  void add(const ImportPlan& plan, const std::string& name) {
    (plan.of(name).is_folded() ? elements : values).insert(name);
  }
};

void want_inputs(Wanted& wanted, const ImportPlan& plan, const OnnxNode& node, const OnnxOperator& op) {
  const std::uint32_t constants = constant_inputs_of(op, node);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i].empty()) continue;
    if (i < 32 && (constants >> i & 1U) != 0) {
      wanted.elements.insert(node.inputs[i]);
    } else {
      wanted.add(plan, node.inputs[i]);
    }
  }
}

/// Backwards from the output: a node is lowered if a tensor of its is read, and else only folded, if at all.
void find_live(ImportPlan& plan, const OnnxModel::Content& content, const RewrittenGraph& graph) {
  Wanted wanted;
  wanted.values.insert(content.outputs[0]);
  plan.is_lowered.assign(graph.nodes.size(), false);
  std::vector<const OnnxNode*> unsupported;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const OnnxNode& node = graph.nodes[i];
    const OnnxOperator& op = *plan.operators[i];
    if (wanted.any(wanted.values, node)) {
      plan.is_lowered[i] = true;
      if (op.lower == nullptr) unsupported.push_back(&node);
      want_inputs(wanted, plan, node, op);
    }
    if (!wanted.any(wanted.elements, node)) continue;
    for (const std::string& input : node.inputs) {
      if (input.empty()) continue;
      if (is_shape_query(op) && !plan.of(input).is_known) {
        wanted.values.insert(input);
      } else {
        wanted.elements.insert(input);
      }
    }
  }
  if (!unsupported.empty()) throw_unsupported(content, unsupported);
  plan.read = std::move(wanted.values);
}

}  // namespace

const ValueFacts& ImportPlan::of(const std::string& name) const {
  static const ValueFacts kUnknown;
  const auto found = facts.find(name);
  return found == facts.end() ? kUnknown : found->second;
}

ImportPlan make_plan(const OnnxModel::Content& content, const RewrittenGraph& graph) {
  ImportPlan plan;
  find_operators(plan, content, graph);
  find_facts(plan, content, graph);
  if (plan.of(content.outputs[0]).is_known) {
    throw ModelError("output " + in_quotes(content.outputs[0]) + " does not depend on any input");
  }
  find_live(plan, content, graph);
  return plan;
}

}  // namespace dml
