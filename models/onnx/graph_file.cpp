#include "models/onnx/graph_file.h"

#include <cstring>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "kernels/error.h"
#include "models/onnx/graph_table.h"
#include "models/onnx/proto_file.h"
#include "models/op.h"

namespace dml {
namespace {

bool holds_elements(Role role) { return role == Role::parameter || role == Role::state || role == Role::constant; }

/// FLOAT has 32 bits; a number that needs more is a scalar tensor.
void write_real(onnx::NodeProto& node, const std::string& name, double value) {
  const auto narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) == value) return set_attribute(node, name, narrow);
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::TENSOR);
  attribute.mutable_t()->set_data_type(onnx::TensorProto::DOUBLE);
  attribute.mutable_t()->set_raw_data(&value, sizeof(value));
}

void write_attributes(onnx::NodeProto& node, const Attributes& attrs) {
  for (const auto& [name, attribute] : attrs.all()) {
    if (const auto* real = std::get_if<double>(&attribute)) write_real(node, name, *real);
    if (const auto* integer = std::get_if<std::int64_t>(&attribute)) set_attribute(node, name, *integer);
    if (const auto* text = std::get_if<std::string>(&attribute)) set_attribute(node, name, *text);
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&attribute)) set_attribute(node, name, *list);
  }
}

template <typename T>
std::string narrowed(const std::vector<std::int64_t>& elements) {
  std::string bytes(elements.size() * sizeof(T), '\0');
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const auto element = static_cast<T>(elements[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
  return bytes;
}

std::string payload_of(const Value& value) {
  const auto count = static_cast<std::size_t>(value.shape.num_elements());
  if (value.dtype == DataType::f32) {
    std::string bytes(count * sizeof(float), '\0');
    value.source->read_all_f32(reinterpret_cast<float*>(bytes.data()));
    return bytes;
  }
  std::vector<std::int64_t> elements(count);
  value.source->read_i64(elements.data());
  switch (value.dtype) {
    case DataType::i64: return narrowed<std::int64_t>(elements);
    case DataType::i32: return narrowed<std::int32_t>(elements);
    case DataType::u8:
    case DataType::boolean: return narrowed<std::uint8_t>(elements);
    default: throw std::invalid_argument("[write_graph] " + value.name + " is " + std::string(name_of(value.dtype)));
  }
}

class Writer {
 public:
  explicit Writer(const GraphFile& file) : file_(file), graph_(file.graph), proto_(make_proto(file.name)) {
    auto& import = *proto_.add_opset_import();
    import.set_domain(kFileDomain);
    import.set_version(1);
  }

  onnx::ModelProto write(const std::vector<ValueId>& also) {
    for (const auto& item : file_.run) {
      if (const auto* node = std::get_if<NodeId>(&item)) write_node(*node);
      if (const auto* message = std::get_if<MessageNode>(&item)) write_message(*message);
    }
    for (const ValueId id : also) write_read(id);
    write_outputs();
    note(kGraphTable, table_of(graph_, run_));
    for (const auto& [key, text] : file_.notes) note(key, text);
    return std::move(proto_);
  }

 private:
  onnx::GraphProto& target() { return *proto_.mutable_graph(); }
  const std::string& name_of_value(ValueId id) const { return graph_.value(id).name; }

  void note(const std::string& key, const std::string& text) {
    auto& entry = *proto_.add_metadata_props();
    entry.set_key(key);
    entry.set_value(text);
  }

  static std::vector<OnnxDim> dims_of(const Shape& shape) {
    std::vector<OnnxDim> dims;
    for (const std::int64_t extent : shape) dims.push_back({"", extent});
    return dims;
  }

  /// A value that is read without being computed by a node: fed, or an initializer.
  void write_read(ValueId id) {
    const Value& value = graph_.value(id);
    if (!written_.insert(value.name).second) return;
    if (value.role == Role::input || value.role == Role::label) {
      add_input(target(), value.name, value.dtype, dims_of(value.shape));
    } else if (holds_elements(value.role)) {
      DML_ASSERT(value.source != nullptr && value.source->shape() == value.shape, value.name + " has no such elements");
      add_initializer(target(), value.name, value.dtype, value.shape).set_raw_data(payload_of(value));
    }
  }

  onnx::NodeProto& write_header(const std::string& type, const std::string& name,
                                const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
    onnx::NodeProto& node = add_node(target(), type, name, inputs, outputs);
    node.set_domain(kFileDomain);
    read_.insert(inputs.begin(), inputs.end());
    made_.insert(made_.end(), outputs.begin(), outputs.end());
    return node;
  }

  void write_node(NodeId id) {
    const Node& node = graph_.node(id);
    std::vector<std::string> inputs, outputs;
    for (const ValueId input : node.inputs) {
      inputs.push_back(input == kNone ? "" : name_of_value(input));
      if (input != kNone) write_read(input);
    }
    for (const ValueId output : node.outputs) outputs.push_back(name_of_value(output));
    onnx::NodeProto& target = write_header(std::string(node.op->name), node.name, inputs, outputs);
    write_attributes(target, node.attrs);
    set_attribute(target, "dml_id", std::int64_t{id});
    set_attribute(target, "dml_phase", std::string(1, letter_of(node.phase)));
    set_attribute(target, "dml_forward", std::int64_t{node.forward});
    if (!node.scope.empty()) set_attribute(target, "dml_scope", node.scope);
    run_.insert(id);
  }

  /// A sum that is no value of the graph is of the shape of the parameter whose gradient it is.
  void write_message(const MessageNode& message) {
    write_attributes(write_header(message.type, message.name, message.inputs, message.outputs), message.attrs);
    const ValueId parameter = graph_.find_value(message.attrs.text("parameter"));
    for (const std::string& output : message.outputs) {
      if (parameter != kNone) like_[output] = parameter;
    }
  }

  /// What nothing in the file reads comes out of it; of everything else that is computed, type and shape are noted.
  void write_outputs() {
    for (const std::string& name : made_) {
      const auto like = like_.find(name);
      const ValueId id = like != like_.end() ? like->second : graph_.find_value(name);
      DML_ASSERT(id != kNone, name + " is no value of the graph");
      onnx::GraphProto& place = read_.contains(name) ? noted_ : target();
      add_output(place, name, graph_.value(id).dtype, dims_of(graph_.shape(id)));
    }
    target().mutable_value_info()->Swap(noted_.mutable_output());
  }

  const GraphFile& file_;
  const Graph& graph_;
  onnx::ModelProto proto_;
  onnx::GraphProto noted_;
  std::unordered_set<std::string> written_, read_;
  std::vector<std::string> made_;
  std::unordered_map<std::string, ValueId> like_;
  std::set<NodeId> run_;
};

}  // namespace

bool operator==(const MessageNode& a, const MessageNode& b) {
  return a.type == b.type && a.name == b.name && a.inputs == b.inputs && a.outputs == b.outputs &&
         a.attrs.all() == b.attrs.all();
}

void make_names_unique(Graph& graph) {
  std::unordered_set<std::string> taken;
  const auto settle = [&](bool activations) {
    for (ValueId id = 0; id < graph.num_values(); ++id) {
      Value& value = graph.value(id);
      if ((value.role == Role::activation || value.role == Role::constant) != activations) continue;
      while (value.name.empty() || !taken.insert(value.name).second) value.name += "#" + std::to_string(id);
    }
  };
  settle(false);
  settle(true);
}

void write_graph(const GraphFile& file, const std::vector<ValueId>& also, const std::string& path) {
  onnx::ModelProto proto = Writer(file).write(also);
  write_proto(proto, path, {});
}

}  // namespace dml
