// One node of the file as lowering and folding see it: input names may have been changed by ties and unties.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/onnx/proto.h"

namespace dml {

class OnnxNode {
 public:
  /// `proto` must outlive this.
  explicit OnnxNode(const onnx::NodeProto& proto);

  std::string name;   ///< the node's own, else that of its first output
  std::string scope;  ///< module path, see scope_of
  std::vector<std::string> inputs, outputs;

  const std::string& type() const { return proto_->op_type(); }
  const std::string& domain() const { return proto_->domain(); }
  /// The input's name; empty where it is absent.
  const std::string& input(std::size_t index) const;
  bool has_input(std::size_t index) const { return !input(index).empty(); }
  bool has_output(std::size_t index) const { return index < outputs.size() && !outputs[index].empty(); }

  /// Attributes; each throws ModelError where it is of another type.
  bool has(std::string_view attribute) const { return find(attribute) != nullptr; }
  std::int64_t integer(std::string_view attribute, std::int64_t otherwise) const;
  double real(std::string_view attribute, double otherwise) const;
  std::string text(std::string_view attribute, std::string_view otherwise) const;
  std::vector<std::int64_t> integers(std::string_view attribute) const;  ///< empty where absent
  std::vector<double> reals(std::string_view attribute) const;           ///< empty where absent
  const onnx::TensorProto* tensor(std::string_view attribute) const;     ///< null where absent

  /// The tensor of a Constant node; null for all others.
  const onnx::TensorProto* constant_tensor() const { return type() == "Constant" ? tensor("value") : nullptr; }

  /// ModelError "node 'NAME' (TYPE): what".
  [[noreturn]] void fail(const std::string& what) const;
  std::string label() const;

 private:
  const onnx::AttributeProto* find(std::string_view attribute) const;
  const onnx::AttributeProto* find(std::string_view attribute, onnx::AttributeProto::AttributeType type) const;

  const onnx::NodeProto* proto_;
};

/// The module path of a node, slash-separated: the folder of its name ("/blocks.0/attn/MatMul" -> "blocks.0/attn"),
/// else the exporter's metadata (pkg.torch.onnx.name_scopes), else empty.
std::string scope_of(const onnx::NodeProto& node);

}  // namespace dml
