#include "models/onnx/lower/known_values.h"

#include <stdexcept>

#include "kernels/error.h"
#include "models/onnx/tensor_payload.h"

namespace dml {

KnownValues::KnownValues(const OnnxModel::Content& content, const RewrittenGraph& graph, const ImportPlan& plan,
                         ShapeOf shape_of, const WrittenBatch* batch)
    : content_(content), graph_(graph), plan_(plan), shape_of_(std::move(shape_of)), batch_(batch) {
  for (const OnnxInitializer& initializer : graph.initializers) initializers_[initializer.name] = &initializer;
}

const OnnxInitializer* KnownValues::find_initializer(const std::string& name) const {
  const auto found = initializers_.find(name);
  return found == initializers_.end() ? nullptr : found->second;
}

bool KnownValues::is_in_file(const std::string& name) const {
  if (find_initializer(name) != nullptr) return true;
  const int producer = plan_.of(name).producer;
  return producer >= 0 && graph_.nodes[static_cast<std::size_t>(producer)].type() == "Constant";
}

/// The name of an input whose elements are wanted first; null where the node can be folded.
const std::string* KnownValues::first_missing(const OnnxNode& node, const OnnxOperator& op) const {
  for (const std::string& input : node.inputs) {
    if (input.empty() || literals_.contains(input)) continue;
    if (is_shape_query(op) && shape_of_(input) != nullptr) continue;
    return &input;
  }
  return nullptr;
}

// Depth-first over the producers with a stack of its own: a chain in a file may be longer than the thread's stack.
const Literal& KnownValues::literal(const std::string& name) {
  std::vector<std::string> pending{name};
  while (!pending.empty()) {
    const std::string next = pending.back();
    if (literals_.contains(next)) {
      pending.pop_back();
      continue;
    }
    if (const OnnxInitializer* initializer = find_initializer(next)) {
      literals_.emplace(next, literal_of(*initializer->source));
      continue;
    }
    const ValueFacts& facts = plan_.of(next);
    if (!facts.is_known) throw ModelError(in_quotes(next) + " must be known before the run, but depends on the data");
    const OnnxNode& node = graph_.nodes[static_cast<std::size_t>(facts.producer)];
    const OnnxOperator& op = *plan_.operators[static_cast<std::size_t>(facts.producer)];
    if (const std::string* missing = first_missing(node, op)) {
      pending.push_back(*missing);
    } else {
      fold(node, op);
    }
  }
  return literals_.at(name);
}

void KnownValues::fold(const OnnxNode& node, const OnnxOperator& op) {
  Folding folding{node, {}, nullptr, batch_, false};
  for (const std::string& input : node.inputs) {
    const auto found = literals_.find(input);
    folding.inputs.push_back(found == literals_.end() ? nullptr : &found->second);
  }
  if (is_shape_query(op)) {
    folding.shape = shape_of_(node.input(0));
    if (folding.shape == nullptr) folding.shape = &folding.input(0).shape;
  }
  if (!node.inputs.empty()) folding.is_target_written = is_in_file(node.inputs.back());
  try {
    std::vector<Literal> results = op.fold(folding);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i].empty()) continue;
      if (i >= results.size()) node.fail("output " + std::to_string(i) + " is not computed");
      literals_.insert_or_assign(node.outputs[i], std::move(results[i]));
    }
  } catch (const std::invalid_argument& error) {
    node.fail(error.what());
  }
}

std::shared_ptr<const TensorSource> KnownValues::source(const std::string& name) {
  if (const OnnxInitializer* initializer = find_initializer(name)) return initializer->source;
  const int producer = plan_.of(name).producer;
  if (producer >= 0) {
    const onnx::TensorProto* tensor = graph_.nodes[static_cast<std::size_t>(producer)].constant_tensor();
    const SourceMap none;
    if (tensor != nullptr) return PayloadReader(content_.proto, "", none).read(*tensor, name);
  }
  return source_of(literal(name));
}

}  // namespace dml
