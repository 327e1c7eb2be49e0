// What looks unintended in a file: exporters split tied weights in two, and merge weights of equal value into one.
#include <algorithm>
#include <map>
#include <unordered_set>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/lower/plan.h"
#include "models/onnx/node.h"
#include "models/onnx/rewrite.h"

namespace dml {
namespace {

float element_at(const OnnxInitializer& initializer, bool is_last) {
  Shape offset = initializer.shape;
  Shape extent = initializer.shape;
  for (int dim = 0; dim < offset.rank(); ++dim) {
    offset[dim] = is_last ? initializer.shape[dim] - 1 : 0;
    extent[dim] = 1;
  }
  float element = 0;
  initializer.source->read_f32(&element, offset, extent);
  return element;
}

bool is_uniform(const OnnxInitializer& initializer) {
  const std::vector<float> elements = elements_of(initializer);
  return std::all_of(elements.begin(), elements.end(), [&](float element) { return element == elements[0]; });
}

/// Added to attention scores: it never trains.
bool is_mask(const OnnxInitializer& initializer) {
  constexpr float kMasked = -1e4F;
  const std::vector<float> elements = elements_of(initializer);
  return std::any_of(elements.begin(), elements.end(), [](float element) { return element <= kMasked; });
}

/// What the lowered graph reads as tensors; empty where the model cannot be lowered.
std::unordered_set<std::string> read_names(const OnnxModel::Content& content) {
  try {
    return make_plan(content, rewrite(content, {})).read;
  } catch (const ModelError&) {
    return {};
  }
}

/// Float initializers of several elements that might train.
std::vector<const OnnxInitializer*> find_weights(const OnnxModel::Content& content) {
  const auto read = read_names(content);
  std::vector<const OnnxInitializer*> weights;
  for (const OnnxInitializer& initializer : content.initializers) {
    const bool is_large = is_float(initializer.dtype) && initializer.shape.num_elements() > 1;
    if (is_large && initializer.has_elements && read.contains(initializer.name)) weights.push_back(&initializer);
  }
  return weights;
}

/// Transposing a matrix keeps its first and its last element, so only those that agree in both are compared.
void note_split_weights(std::vector<std::string>& notes, const std::vector<const OnnxInitializer*>& weights) {
  std::map<std::pair<float, float>, std::vector<const OnnxInitializer*>> candidates;
  for (const OnnxInitializer* b : weights) {
    if (b->shape.rank() < 2) continue;
    auto& alike = candidates[{element_at(*b, false), element_at(*b, true)}];
    for (const OnnxInitializer* a : alike) {
      const bool equal = is_equal(*a, *b);
      if ((!equal && !is_transposed(*a, *b)) || is_uniform(*b) || is_mask(*b)) continue;
      notes.push_back(in_quotes(b->name) + " equals " + in_quotes(a->name) + (equal ? "" : " transposed") +
                      ": it looks tied; --tie '" + printable(a->name) + "=" + printable(b->name) +
                      "' trains them as one");
      break;
    }
    alike.push_back(b);
  }
}

/// Reads of each name by normalizations (scale and bias) and additions: where parameters of their own are usual.
std::map<std::string, int> count_parameter_uses(const onnx::GraphProto& graph) {
  std::map<std::string, int> uses;
  for (const onnx::NodeProto& node : graph.node()) {
    const bool is_norm = node.op_type().ends_with("Normalization");
    if (!is_norm && node.op_type() != "Add") continue;
    for (int i = is_norm ? 1 : 0; i < std::min(node.input_size(), 3); ++i) ++uses[node.input(i)];
  }
  return uses;
}

void note_merged_weights(std::vector<std::string>& notes, const OnnxModel::Content& content,
                         const std::vector<const OnnxInitializer*>& weights) {
  const auto uses = count_parameter_uses(content.graph());
  for (const OnnxInitializer* weight : weights) {
    const auto found = uses.find(weight->name);
    if (found == uses.end() || found->second < 2 || weight->shape.rank() != 1 || !is_uniform(*weight)) continue;
    notes.push_back(in_quotes(weight->name) + " is one parameter in " + std::to_string(found->second) +
                    " places, all elements equal: it looks merged by the exporter; --untie '" +
                    printable(weight->name) + "' trains one for each");
  }
}

void note_ignored(std::vector<std::string>& notes, const OnnxModel::Content& content) {
  if (content.outputs.size() > 1) {
    notes.push_back("the model has " + std::to_string(content.outputs.size()) + " outputs; '" +
                    printable(content.outputs[0]) + "' is trained, the others are ignored");
  }
  int casts = 0;
  for (const onnx::NodeProto& proto : content.graph().node()) {
    if (proto.op_type() != "Cast") continue;
    const std::int64_t to = OnnxNode(proto).integer("to", 0);
    if (to == onnx::TensorProto::FLOAT16 || to == onnx::TensorProto::BFLOAT16) ++casts;
  }
  if (casts > 0) notes.push_back(std::to_string(casts) + " casts to 16-bit floats are ignored: all is computed in f32");
}

}  // namespace

std::vector<std::string> OnnxModel::notes() const {
  std::vector<std::string> notes;
  const auto weights = find_weights(*content_);
  note_split_weights(notes, weights);
  note_merged_weights(notes, *content_, weights);
  note_ignored(notes, *content_);
  return notes;
}

}  // namespace dml
