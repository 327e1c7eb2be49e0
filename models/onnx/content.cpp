// From a message to the tables of an OnnxModel, with every check that needs no operator's meaning.
#include "models/onnx/content.h"

#include <algorithm>
#include <unordered_set>

#include "kernels/error.h"
#include "models/onnx/tensor_payload.h"

namespace dml {
namespace {

constexpr std::int64_t kFirstOpset = 13;
constexpr std::int64_t kLastOpset = 23;
constexpr std::int64_t kLastIrVersion = 13;

void read_versions(OnnxModel::Content& content) {
  const onnx::ModelProto& proto = *content.proto;
  if (!proto.has_graph() || proto.graph().output_size() == 0) {
    throw ModelError("it holds no graph with an output: is it an ONNX model?");
  }
  if (proto.ir_version() > kLastIrVersion) {
    throw ModelError("IR version " + std::to_string(proto.ir_version()) + "; up to " + std::to_string(kLastIrVersion) +
                     " are read");
  }
  for (const auto& import : proto.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") content.opset = import.version();
  }
  if (content.opset < kFirstOpset || content.opset > kLastOpset) {
    throw ModelError("opset " + std::to_string(content.opset) + "; " + std::to_string(kFirstOpset) + " to " +
                     std::to_string(kLastOpset) + " are read: convert it with onnx.version_converter");
  }
  content.producer = printable(proto.producer_name());
  if (!proto.producer_version().empty()) content.producer.append(" ").append(printable(proto.producer_version()));
}

void read_initializers(OnnxModel::Content& content, const std::string& path, const SourceMap& sources) {
  const onnx::GraphProto& graph = content.graph();
  if (graph.sparse_initializer_size() > 0) throw ModelError("sparse initializers are not read");
  PayloadReader reader(content.proto, path, sources);
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    const std::string& name = tensor.name();
    if (name.empty()) throw ModelError("an initializer has no name");
    if (!content.initializer_index.try_emplace(name, content.initializers.size()).second) {
      throw ModelError("two initializers are named " + in_quotes(name));
    }
    auto source = reader.read(tensor, name);
    const bool has_elements = !is_absent(*source);
    content.initializers.push_back({name, source->stored_type(), source->shape(), std::move(source), has_elements});
  }
}

OnnxInput read_input(const onnx::ValueInfoProto& info) {
  const std::string name = printable(info.name());
  if (!info.type().has_tensor_type() || !info.type().tensor_type().has_shape()) {
    throw ModelError("input '" + name + "' is not a tensor with a shape");
  }
  const auto& tensor = info.type().tensor_type();
  OnnxInput input{info.name(), computed_type(stored_type(tensor.elem_type(), name)), {}};
  std::vector<std::int64_t> extents;
  for (const auto& dim : tensor.shape().dim()) {
    const bool is_number = dim.has_dim_value();
    OnnxDim extent;
    if (is_number) {
      extent.extent = dim.dim_value();
    } else {
      extent.name = dim.dim_param().empty() ? "?" + std::to_string(input.dims.size()) : dim.dim_param();
    }
    extents.push_back(is_number ? dim.dim_value() : 1);
    input.dims.push_back(std::move(extent));
  }
  checked_shape(extents, info.name());
  return input;
}

/// The batch is the only symbolic dim 0 of the inputs, or else the dim 0 that the first of them says.
void find_batch(OnnxModel::Content& content) {
  std::unordered_set<std::string> names;
  for (const OnnxInput& input : content.inputs) {
    if (input.dims.empty()) continue;
    if (!input.dims[0].name.empty()) {
      names.insert(input.dims[0].name);
    } else if (content.written_batch == 0) {
      content.written_batch = input.dims[0].extent;
    }
  }
  if (names.empty()) return;
  content.written_batch = 0;
  if (names.size() == 1) content.batch_name = *names.begin();
}

void read_inputs_and_outputs(OnnxModel::Content& content) {
  std::unordered_set<std::string> names;
  for (const onnx::ValueInfoProto& info : content.graph().input()) {
    if (!names.insert(info.name()).second) throw ModelError("two inputs are named " + in_quotes(info.name()));
    if (!content.initializer_index.contains(info.name())) content.inputs.push_back(read_input(info));
  }
  for (const onnx::ValueInfoProto& info : content.graph().output()) content.outputs.push_back(info.name());
  find_batch(content);
}

std::string label_of(const onnx::NodeProto& node) {
  const std::string name = !node.name().empty() ? node.name() : node.output_size() > 0 ? node.output(0) : "";
  return "node " + in_quotes(name) + " (" + printable(node.op_type()) + ")";
}

/// Every name is defined once, and before it is read.
void check_order(const OnnxModel::Content& content) {
  std::unordered_set<std::string> defined;
  std::unordered_set<std::string> computed;
  for (const OnnxInput& input : content.inputs) defined.insert(input.name);
  for (const OnnxInitializer& initializer : content.initializers) defined.insert(initializer.name);
  for (const onnx::NodeProto& node : content.graph().node())
    computed.insert(node.output().begin(), node.output().end());
  for (const onnx::NodeProto& node : content.graph().node()) {
    for (const std::string& input : node.input()) {
      if (input.empty() || defined.contains(input)) continue;
      throw ModelError(label_of(node) + " reads " + in_quotes(input) + ", which " +
                       (computed.contains(input)
                            ? "is computed only after it: the nodes are not sorted, or form a cycle"
                            : "is neither an input, an initializer, nor computed"));
    }
    for (const std::string& output : node.output()) {
      if (output.empty() || defined.insert(output).second) continue;
      throw ModelError(label_of(node) + " computes " + in_quotes(output) + ", which is defined already");
    }
  }
  for (const std::string& output : content.outputs) {
    if (!defined.contains(output)) throw ModelError("output " + in_quotes(output) + " is not computed");
  }
}

}  // namespace

std::string printable(const std::string& text) {
  constexpr std::size_t kLongest = 200;
  std::string result = text.substr(0, kLongest);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c >= 0 && c < ' '; }, '?');
  if (text.size() > kLongest) result += "...";
  return result;
}

std::string in_quotes(const std::string& text) {
  std::string result = "'";
  result.append(printable(text)).append("'");
  return result;
}

const OnnxInitializer* OnnxModel::Content::find(const std::string& initializer) const {
  const auto found = initializer_index.find(initializer);
  return found == initializer_index.end() ? nullptr : &initializers[found->second];
}

std::unique_ptr<const OnnxModel::Content> make_content(std::shared_ptr<const onnx::ModelProto> proto, std::string name,
                                                       const std::string& path, const SourceMap& sources) {
  auto content = std::make_unique<OnnxModel::Content>();
  content->proto = std::move(proto);
  content->name = std::move(name);
  content->path = path;
  try {
    read_versions(*content);
    read_initializers(*content, path, sources);
    read_inputs_and_outputs(*content);
    check_order(*content);
  } catch (const ModelError& error) {
    throw ModelError(in_quotes(content->name) + ": " + error.what());
  } catch (const IoError& error) {
    throw IoError(in_quotes(content->name) + ": " + error.what());
  }
  return content;
}

}  // namespace dml
