// Reading a graph file: whatever it says is checked before anybody relies on it.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/graph_file.h"
#include "models/onnx/graph_table.h"
#include "models/onnx/mapped_file.h"
#include "models/onnx/tensor_payload.h"
#include "models/op.h"

namespace dml {
namespace {

using Json = nlohmann::json;

std::string label_of(const Node& node) { return fmt::format("node {} ({})", in_quotes(node.name), node.op->name); }

double real_of(const onnx::TensorProto& tensor, const std::string& name) {
  double value = 0;
  if (tensor.data_type() != onnx::TensorProto::DOUBLE || tensor.raw_data().size() != sizeof(value)) {
    throw ModelError("attribute " + in_quotes(name) + " is a tensor, but no scalar of DOUBLE");
  }
  std::memcpy(&value, tensor.raw_data().data(), sizeof(value));
  return value;
}

Attributes attributes_of(const onnx::NodeProto& node) {
  Attributes attrs;
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    const std::string& name = attribute.name();
    switch (attribute.type()) {
      case onnx::AttributeProto::INT: attrs.set(name, attribute.i()); break;
      case onnx::AttributeProto::FLOAT: attrs.set(name, static_cast<double>(attribute.f())); break;
      case onnx::AttributeProto::STRING: attrs.set(name, attribute.s()); break;
      case onnx::AttributeProto::TENSOR: attrs.set(name, real_of(attribute.t(), name)); break;
      case onnx::AttributeProto::INTS:
        attrs.set(name, std::vector<std::int64_t>(attribute.ints().begin(), attribute.ints().end()));
        break;
      default: throw ModelError("attribute " + in_quotes(name) + " has a type that is not read");
    }
  }
  return attrs;
}

class Reader {
 public:
  Reader(std::shared_ptr<const onnx::ModelProto> proto, std::string path)
      : proto_(std::move(proto)), path_(std::move(path)) {}

  GraphFile read() {
    read_table();
    read_initializers();
    for (const auto& input : proto_->graph().input()) there_.insert(input.name());
    for (const onnx::NodeProto& node : proto_->graph().node()) read_node(node);
    finish_nodes();
    file_.name = proto_->graph().name();
    return std::move(file_);
  }

 private:
  Graph& graph() { return file_.graph; }

  void read_table() {
    for (const auto& entry : proto_->metadata_props()) file_.notes[entry.key()] = entry.value();
    const auto table = file_.notes.find(kGraphTable);
    if (table == file_.notes.end()) throw ModelError("it was not written by `dmltrain model partition`");
    try {
      graph() = graph_of(Json::parse(table->second));
    } catch (const Json::exception& error) {
      throw ModelError("its table of values and nodes is damaged: " + printable(error.what()));
    }
    file_.notes.erase(table);
    nodes_ = graph().nodes();
    for (ValueId id = 0; id < graph().num_values(); ++id) {
      const std::string& name = graph().value(id).name;
      if (name.empty() || !ids_.try_emplace(name, id).second)
        throw ModelError("two values are named " + in_quotes(name));
    }
  }

  ValueId id_of(const std::string& name) const {
    const auto found = ids_.find(name);
    if (found == ids_.end()) throw ModelError(in_quotes(name) + " is not in its table of values");
    return found->second;
  }

  void read_initializers() {
    const SourceMap none;
    PayloadReader reader(proto_, path_, none);
    for (const onnx::TensorProto& tensor : proto_->graph().initializer()) {
      auto source = reader.read(tensor, tensor.name());
      Value& value = graph().value(id_of(tensor.name()));
      if (source->shape() != value.shape || source->stored_type() != value.dtype || is_absent(*source)) {
        throw ModelError(fmt::format("initializer {} is {} {}, its table says {} {}", in_quotes(tensor.name()),
                                     name_of(source->stored_type()), source->shape().to_string(), name_of(value.dtype),
                                     value.shape.to_string()));
      }
      value.source = std::move(source);
      there_.insert(tensor.name());
    }
  }

  /// What the node reads must be there, and what it makes must not.
  void check_names(const onnx::NodeProto& node) {
    const std::string label = "node " + in_quotes(node.name()) + " (" + printable(node.op_type()) + ")";
    if (node.domain() != kFileDomain) throw ModelError(label + " is of the domain " + in_quotes(node.domain()));
    for (const std::string& input : node.input()) {
      if (!input.empty() && !there_.contains(input))
        throw ModelError(label + " reads " + in_quotes(input) + ", which is not there before it");
    }
    for (const std::string& output : node.output()) {
      if (!there_.insert(output).second)
        throw ModelError(label + " computes " + in_quotes(output) + ", which is there already");
    }
  }

  void read_node(const onnx::NodeProto& proto) {
    check_names(proto);
    Attributes attrs = attributes_of(proto);
    const bool is_message = proto.op_type() == "Send" || proto.op_type() == "Receive" || proto.op_type() == "AllReduce";
    if (is_message && !attrs.has("dml_id")) {
      file_.run.emplace_back(MessageNode{proto.op_type(),
                                         proto.name(),
                                         {proto.input().begin(), proto.input().end()},
                                         {proto.output().begin(), proto.output().end()},
                                         std::move(attrs)});
      return;
    }
    const std::int64_t id = attrs.integer("dml_id", -1);
    if (id < 0 || id >= static_cast<std::int64_t>(nodes_.size()) ||
        nodes_[static_cast<std::size_t>(id)].op != nullptr) {
      throw ModelError(
          fmt::format("node {} has number {}, which is none, or is another node's", in_quotes(proto.name()), id));
    }
    nodes_[static_cast<std::size_t>(id)] = node_of(proto, attrs);
    file_.run.emplace_back(static_cast<NodeId>(id));
  }

  Node node_of(const onnx::NodeProto& proto, const Attributes& attrs) const {
    Node node;
    node.op = find_op(proto.op_type());
    if (node.op == nullptr) throw ModelError("there is no operation " + in_quotes(proto.op_type()));
    node.name = proto.name();
    node.scope = attrs.text("dml_scope");
    node.phase = phase_of(attrs.text("dml_phase"));
    const std::int64_t forward = attrs.integer("dml_forward", kNone);
    if (forward < kNone || forward >= static_cast<std::int64_t>(nodes_.size()))
      throw ModelError(label_of(node) + " differentiates no node");
    node.forward = static_cast<NodeId>(forward);
    for (const auto& [name, attribute] : attrs.all()) {
      if (!name.starts_with("dml_")) node.attrs.set(name, attribute);
    }
    for (const std::string& input : proto.input()) node.inputs.push_back(input.empty() ? kNone : id_of(input));
    for (const std::string& output : proto.output()) node.outputs.push_back(id_of(output));
    return node;
  }

  /// All nodes together must be a graph; those that run must agree with the shapes of their values too.
  void finish_nodes() {
    std::vector<bool> made(static_cast<std::size_t>(graph().num_values()), false);
    for (std::size_t id = 0; id < nodes_.size(); ++id) {
      const Node& node = nodes_[id];
      if (node.op == nullptr) throw ModelError(fmt::format("its node {} is missing", id));
      if (node.outputs.empty()) throw ModelError(label_of(node) + " computes nothing");
      for (const ValueId input : node.inputs) {
        const bool is_there =
            input == kNone || graph().value(input).role != Role::activation || made[static_cast<std::size_t>(input)];
        if (!is_there)
          throw ModelError(label_of(node) + " reads " + in_quotes(graph().value(input).name) +
                           ", which is not there before it");
      }
      for (const ValueId output : node.outputs) {
        if (made[static_cast<std::size_t>(output)] || graph().value(output).role != Role::activation) {
          throw ModelError(label_of(node) + " computes " + in_quotes(graph().value(output).name) +
                           ", which is there already");
        }
        made[static_cast<std::size_t>(output)] = true;
      }
    }
    graph().set_nodes(std::move(nodes_));
    check_roles();
    for (const auto& item : file_.run) {
      if (const auto* id = std::get_if<NodeId>(&item)) check_shapes(graph().node(*id));
    }
  }

  void check_roles() {
    const auto require = [&](ValueId id, Role role) {
      if (id != kNone && graph().value(id).role != role)
        throw ModelError("the role of " + in_quotes(graph().value(id).name) + " is another than its use");
    };
    for (const ValueId id : graph().inputs) require(id, Role::input);
    require(graph().label, Role::label);
    for (const auto& [parameter, gradient] : graph().gradient_of) {
      require(parameter, Role::parameter);
      require(gradient, Role::activation);
    }
    for (const auto& [state, next] : graph().next_state) {
      require(state, Role::state);
      require(next, Role::activation);
    }
  }

  void check_shapes(const Node& node) {
    const auto count = static_cast<int>(node.inputs.size());
    if (count < node.op->min_inputs || (node.op->max_inputs >= 0 && count > node.op->max_inputs)) {
      throw ModelError(fmt::format("{} has {} inputs", label_of(node), count));
    }
    std::vector<TypedShape> outputs;
    try {
      outputs = node.op->infer(graph(), node);
    } catch (const std::logic_error& error) {
      throw ModelError(label_of(node) + ": " + error.what());
    }
    bool agree = outputs.size() == node.outputs.size();
    for (std::size_t i = 0; agree && i < outputs.size(); ++i) {
      const Value& value = graph().value(node.outputs[i]);
      // Gathered parts are flat, and may be read as a tensor.
      const bool is_flat =
          node.op->name == "AllGather" && value.shape.num_elements() == outputs[i].shape.num_elements();
      agree = value.dtype == outputs[i].dtype && (is_flat || value.shape == outputs[i].shape);
    }
    if (!agree) throw ModelError(label_of(node) + " makes other outputs than its table says");
  }

  std::shared_ptr<const onnx::ModelProto> proto_;
  std::string path_;
  GraphFile file_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, ValueId> ids_;
  std::unordered_set<std::string> there_;
};

GraphFile read_bytes(std::span<const std::byte> bytes, const std::string& name, const std::string& path) {
  constexpr std::size_t kMostBytes = 0x7fffffff;
  auto proto = std::make_shared<onnx::ModelProto>();
  if (bytes.empty() || bytes.size() > kMostBytes ||
      !proto->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw ModelError(in_quotes(name) + " is not an ONNX file, or is truncated: it cannot be parsed");
  }
  try {
    return Reader(std::move(proto), path).read();
  } catch (const IoError& error) {
    throw IoError(in_quotes(name) + ": " + error.what());
  } catch (const ModelError& error) {
    throw ModelError(in_quotes(name) + ": " + error.what());
  } catch (const std::logic_error& error) {  // an attribute of another type than it is read as
    throw ModelError(in_quotes(name) + ": " + error.what());
  }
}

}  // namespace

GraphFile read_graph(const std::string& path) {
  const auto file = MappedFile::open(path);
  return read_bytes(file->bytes(), path, path);
}

GraphFile parse_graph(const std::string& bytes, const std::string& name) {
  return read_bytes(std::as_bytes(std::span(bytes)), name, "");
}

}  // namespace dml
