#include "models/onnx/opaque_model.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/lower/operators.h"
#include "models/onnx/mapped_file.h"
#include "models/onnx/node.h"
#include "models/op.h"

namespace dml {

struct OpaqueModel::Content {
  onnx::ModelProto proto;
  std::string path;
  const onnx::GraphProto& graph() const { return proto.graph(); }
};

namespace {

const Shape kUnknown{0};

std::string key_of(std::size_t output, const char* what) { return what + std::to_string(output); }

std::vector<TypedShape> told_shapes(const Graph& /*graph*/, const Node& node) {
  std::vector<TypedShape> shapes(static_cast<std::size_t>(node.attrs.integer("outputs")));
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    shapes[i].dtype = static_cast<DataType>(node.attrs.integer(key_of(i, "dtype")));
    shapes[i].shape = Shape(node.attrs.integers(key_of(i, "shape")));
  }
  return shapes;
}

double told_flops(const Graph& /*graph*/, const Node& node) { return node.attrs.real("flops"); }

/// An operation of that name, which lives as long as the program: nodes refer to it.
const OpDef* opaque_op(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, OpDef> defs;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto [at, is_first] = defs.try_emplace(name);
  if (is_first) {
    at->second.name = at->first;
    at->second.min_inputs = 0;
    at->second.max_inputs = -1;
    at->second.num_outputs = -1;
    at->second.infer = told_shapes;
    at->second.flops = told_flops;
  }
  return &at->second;
}

std::string domain_of(const onnx::NodeProto& node) { return node.domain().empty() ? "ai.onnx" : node.domain(); }

DataType type_of(std::int32_t onnx_type, const std::string& name) {
  try {
    return stored_type(onnx_type, name);
  } catch (const ModelError&) {
    return DataType::f32;  // not told, or one that has no name here
  }
}

/// Builds one graph at the batch size and dims of the options.
class OpaqueBuild {
 public:
  OpaqueBuild(const OpaqueModel::Content& content, const BuildOptions& options)
      : content_(content), dims_(options.dims) {
    for (const onnx::TensorProto& tensor : content.graph().initializer()) initializers_.insert(tensor.name());
    bind_batch(std::max<std::int64_t>(options.batch, 1));
    for (const auto* infos : {&content.graph().input(), &content.graph().output(), &content.graph().value_info()}) {
      for (const onnx::ValueInfoProto& info : *infos) tell(info);
    }
  }

  Graph run() {
    add_sources();
    for (const onnx::NodeProto& node : content_.graph().node()) add(node);
    for (const onnx::ValueInfoProto& output : content_.graph().output()) {
      if (values_.contains(output.name())) return finish(values_.at(output.name()));
    }
    throw ModelError(in_quotes(content_.path) + " has no output that a node makes");
  }

  /// Values that nodes make whose shape is unknown.
  std::int64_t num_unknown() const { return num_unknown_; }

 private:
  void bind_batch(std::int64_t samples) {
    for (const onnx::ValueInfoProto& input : content_.graph().input()) {
      const auto& shape = input.type().tensor_type().shape();
      if (initializers_.contains(input.name()) || shape.dim_size() == 0) continue;
      if (shape.dim(0).has_dim_param()) dims_.emplace(shape.dim(0).dim_param(), samples);
      return;
    }
  }

  std::optional<std::int64_t> extent_of(const onnx::TensorShapeProto::Dimension& dim) const {
    if (dim.has_dim_value()) return dim.dim_value();
    const auto bound = dims_.find(dim.dim_param());
    return bound == dims_.end() ? std::nullopt : std::optional(bound->second);
  }

  void tell(const onnx::ValueInfoProto& info) {
    if (!info.type().has_tensor_type()) return;
    const auto& tensor = info.type().tensor_type();
    TypedShape told{type_of(tensor.elem_type(), info.name()), kUnknown};
    if (tensor.has_shape() && tensor.shape().dim_size() <= Shape::kMaxRank) {
      Shape shape;
      for (const auto& dim : tensor.shape().dim()) {
        const std::optional<std::int64_t> extent = extent_of(dim);
        if (!extent || *extent < 0) {
          shape = kUnknown;
          break;
        }
        shape.push_back(*extent);
      }
      told.shape = shape;
    }
    told_[info.name()] = told;
  }

  TypedShape told(const std::string& name) const {
    const auto found = told_.find(name);
    return found == told_.end() ? TypedShape{DataType::f32, kUnknown} : found->second;
  }

  void add_sources() {
    for (const onnx::ValueInfoProto& input : content_.graph().input()) {
      if (initializers_.contains(input.name())) continue;
      const TypedShape shape = told(input.name());
      values_[input.name()] = graph_.add_value({input.name(), shape.dtype, shape.shape, Role::input, kNone, nullptr});
      graph_.inputs.push_back(values_[input.name()]);
    }
    for (const onnx::TensorProto& tensor : content_.graph().initializer()) {
      const bool fits = tensor.dims_size() <= Shape::kMaxRank;
      const Shape shape =
          fits ? Shape(std::span(tensor.dims().data(), static_cast<std::size_t>(tensor.dims_size()))) : kUnknown;
      const DataType type = type_of(tensor.data_type(), tensor.name());
      values_[tensor.name()] = graph_.add_value({tensor.name(), type, shape, Role::constant, kNone, nullptr});
    }
  }

  void add(const onnx::NodeProto& proto) {
    const OnnxNode onnx(proto);
    Node node;
    node.op = opaque_op(domain_of(proto) + "." + proto.op_type());
    node.name = onnx.name;
    node.scope = onnx.scope;
    for (const std::string& name : onnx.inputs) {
      const auto found = values_.find(name);
      node.inputs.push_back(found == values_.end() ? kNone : found->second);
    }
    node.attrs.set("outputs", static_cast<std::int64_t>(onnx.outputs.size()));
    for (std::size_t i = 0; i < onnx.outputs.size(); ++i) {
      const TypedShape shape = told(onnx.outputs[i]);
      num_unknown_ += shape.shape == kUnknown ? 1 : 0;
      node.attrs.set(key_of(i, "dtype"), static_cast<std::int64_t>(shape.dtype));
      node.attrs.set(key_of(i, "shape"), shape.shape.to_vector());
    }
    node.attrs.set("flops", flops_of(onnx, node));
    const NodeId id = graph_.add_node(std::move(node), onnx.outputs);
    const std::vector<ValueId>& outputs = graph_.node(id).outputs;
    for (std::size_t i = 0; i < onnx.outputs.size(); ++i) {
      if (!onnx.outputs[i].empty()) values_[onnx.outputs[i]] = outputs[i];
    }
  }

  double flops_of(const OnnxNode& onnx, const Node& node) const {
    if (onnx.outputs.empty()) return 0;
    const double elements = static_cast<double>(told(onnx.outputs[0]).shape.num_elements());
    if (onnx.type() == "MatMulNBits") return 2 * elements * static_cast<double>(onnx.integer("K", 0));
    const bool is_product = onnx.type() == "MatMul" || onnx.type() == "Gemm";
    if (!is_product || node.inputs.empty() || node.inputs[0] == kNone) return 0;
    const Shape& left = graph_.shape(node.inputs[0]);
    if (left.rank() == 0) return 0;
    return 2 * elements * static_cast<double>(onnx.integer("transA", 0) != 0 ? left[0] : left.back());
  }

  Graph finish(ValueId output) {
    graph_.output = output;
    return std::move(graph_);
  }

  const OpaqueModel::Content& content_;
  std::map<std::string, std::int64_t> dims_;
  std::set<std::string> initializers_;
  std::map<std::string, TypedShape> told_;
  std::map<std::string, ValueId> values_;
  Graph graph_;
  std::int64_t num_unknown_ = 0;
};

/// The operations that are not read, with how often each occurs: "com.microsoft.MatMulNBits (111)".
std::string unread_operations(const onnx::GraphProto& graph) {
  std::map<std::string, int> counts;
  for (const onnx::NodeProto& node : graph.node()) {
    if (find_operator(node.op_type(), node.domain()) == nullptr) ++counts[domain_of(node) + "." + node.op_type()];
  }
  std::string list;
  for (const auto& [name, count] : counts)
    list += (list.empty() ? "" : ", ") + printable(name) + " (" + std::to_string(count) + ")";
  return list;
}

/// The files of external data that are not there.
std::string missing_files(const onnx::GraphProto& graph, const std::string& path) {
  std::set<std::string> missing;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    for (const auto& entry : tensor.external_data()) {
      if (entry.key() == "location" && !std::filesystem::exists(folder / entry.value())) missing.insert(entry.value());
    }
  }
  std::string list;
  for (const std::string& name : missing) list += (list.empty() ? "" : ", ") + in_quotes(name);
  return list;
}

}  // namespace

OpaqueModel::OpaqueModel(std::unique_ptr<const Content> content) : content_(std::move(content)) {}
OpaqueModel::~OpaqueModel() = default;

std::shared_ptr<const OpaqueModel> OpaqueModel::load(const std::string& path) {
  const auto file = MappedFile::open(path);
  auto content = std::make_unique<Content>();
  content->path = path;
  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.empty() || !content->proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw ModelError(in_quotes(path) + " is not an ONNX model, or is truncated: it cannot be parsed");
  return std::make_shared<const OpaqueModel>(std::move(content));
}

bool OpaqueModel::is_needed() const {
  return !unread_operations(content_->graph()).empty() || !missing_files(content_->graph(), content_->path).empty();
}

std::vector<std::string> OpaqueModel::notes() const {
  std::vector<std::string> notes{"every operation is drawn as an opaque one: the forward pass alone, not divided by t"};
  const std::string unread = unread_operations(content_->graph());
  if (!unread.empty()) notes.push_back("operations that are not read: " + unread);
  const std::string missing = missing_files(content_->graph(), content_->path);
  if (!missing.empty()) notes.push_back("external data that is not there: " + missing);
  OpaqueBuild build(*content_, {});
  build.run();
  if (build.num_unknown() > 0) {
    notes.push_back("the file does not tell the shapes of " + std::to_string(build.num_unknown()) +
                    " values, or in symbolic dims without --dim NAME=N: they count as empty");
  }
  return notes;
}

std::int64_t OpaqueModel::num_parameters() const {
  std::int64_t elements = 0;
  for (const onnx::TensorProto& tensor : content_->graph().initializer()) {
    std::int64_t product = 1;
    for (const std::int64_t dim : tensor.dims()) product *= dim;
    elements += is_float(type_of(tensor.data_type(), tensor.name())) ? product : 0;
  }
  return elements;
}

Graph OpaqueModel::build(const BuildOptions& options) const { return OpaqueBuild(*content_, options).run(); }

}  // namespace dml
