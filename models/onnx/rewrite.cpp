#include "models/onnx/rewrite.h"

#include <algorithm>

#include "kernels/error.h"

namespace dml {
namespace {

const OnnxInitializer& float_initializer(const OnnxModel::Content& content, const std::string& name,
                                         const std::string& option) {
  const OnnxInitializer* found = content.find(name);
  if (found == nullptr) throw ModelError(option + ": the model has no initializer '" + name + "'");
  if (!is_float(found->dtype)) throw ModelError(option + ": '" + name + "' is no float tensor");
  return *found;
}

void replace_reads(std::vector<OnnxNode>& nodes, const std::string& from, const std::string& to) {
  for (OnnxNode& node : nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
}

/// Reads of B become reads of "B/tied" = Transpose(A).
OnnxNode transpose_of(const Tied& tied, std::deque<onnx::NodeProto>& made) {
  onnx::NodeProto& proto = made.emplace_back();
  proto.set_op_type("Transpose");
  proto.set_name(tied.name + "/tied");
  proto.add_input(tied.to);
  proto.add_output(tied.name + "/tied");
  set_attribute(proto, "perm", std::vector<std::int64_t>{1, 0});
  OnnxNode node(proto);
  node.scope.clear();
  return node;
}

void tie(RewrittenGraph& graph, const OnnxModel::Content& content, const std::string& to, const std::string& name) {
  const std::string option = "--tie " + to + "=" + name;
  const OnnxInitializer& a = float_initializer(content, to, option);
  const OnnxInitializer& b = float_initializer(content, name, option);
  for (const Tied& other : graph.tied) {
    if (other.name == name || other.name == to || other.to == name) {
      throw ModelError(option + ": '" + other.name + "' is tied to '" + other.to + "' already");
    }
  }
  if (to == name) throw ModelError(option + ": they are the same initializer");
  Tied tied{name, to, false};
  if (!is_equal(a, b)) {
    if (!is_transposed(a, b)) {
      throw ModelError(option + ": the values of '" + name + "' (" + b.shape.to_string() + ") are neither those of '" +
                       to + "' (" + a.shape.to_string() + ") nor these transposed");
    }
    tied.is_transposed = true;
  }
  replace_reads(graph.nodes, name, tied.is_transposed ? name + "/tied" : to);
  if (tied.is_transposed) graph.nodes.insert(graph.nodes.begin(), transpose_of(tied, graph.made));
  graph.tied.push_back(std::move(tied));
}

[[noreturn]] void fail_taken(const std::string& option, const std::string& name) {
  throw ModelError(option + ": the model has a " + in_quotes(name) + " already");
}

/// The second and later uses get names of their own.
void untie(RewrittenGraph& graph, const OnnxModel::Content& content, const std::string& name) {
  const std::string option = "--untie " + name;
  const OnnxInitializer& shared = float_initializer(content, name, option);
  std::vector<OnnxInitializer> copies;
  int uses = 0;
  for (OnnxNode& node : graph.nodes) {
    for (std::string& input : node.inputs) {
      if (input != name || uses++ == 0) continue;
      input.append("#").append(std::to_string(uses - 1));
      if (content.find(input) != nullptr) fail_taken(option, input);
      copies.push_back(shared);
      copies.back().name = input;
    }
  }
  const auto at = std::find_if(graph.initializers.begin(), graph.initializers.end(),
                               [&](const OnnxInitializer& initializer) { return initializer.name == name; });
  graph.initializers.insert(at + 1, copies.begin(), copies.end());
}

}  // namespace

std::vector<float> elements_of(const OnnxInitializer& initializer) {
  std::vector<float> elements(static_cast<std::size_t>(initializer.shape.num_elements()));
  initializer.source->read_all_f32(elements.data());
  return elements;
}

bool is_equal(const OnnxInitializer& a, const OnnxInitializer& b) {
  return a.shape == b.shape && elements_of(a) == elements_of(b);
}

bool is_transposed(const OnnxInitializer& a, const OnnxInitializer& b) {
  if (a.shape.rank() != 2 || b.shape.rank() != 2 || a.shape[0] != b.shape[1] || a.shape[1] != b.shape[0]) return false;
  const auto rows = static_cast<std::size_t>(a.shape[0]);
  const auto columns = static_cast<std::size_t>(a.shape[1]);
  const std::vector<float> left = elements_of(a);
  const std::vector<float> right = elements_of(b);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      if (left[row * columns + column] != right[column * rows + row]) return false;
    }
  }
  return true;
}

RewrittenGraph rewrite(const OnnxModel::Content& content, const BuildOptions& options) {
  RewrittenGraph graph;
  for (const onnx::NodeProto& node : content.graph().node()) graph.nodes.emplace_back(node);
  graph.initializers = content.initializers;
  for (const std::string& name : options.unties) untie(graph, content, name);
  for (const auto& [to, name] : options.ties) tie(graph, content, to, name);
  return graph;
}

}  // namespace dml
