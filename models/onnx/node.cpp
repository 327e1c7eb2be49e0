#include "models/onnx/node.h"

#include "kernels/error.h"
#include "models/onnx/content.h"

namespace dml {

OnnxNode::OnnxNode(const onnx::NodeProto& proto)
    : name(proto.name()),
      scope(scope_of(proto)),
      inputs(proto.input().begin(), proto.input().end()),
      outputs(proto.output().begin(), proto.output().end()),
      proto_(&proto) {
  if (name.empty() && !outputs.empty()) name = outputs[0];
}

const std::string& OnnxNode::input(std::size_t index) const {
  static const std::string kAbsent;
  return index < inputs.size() ? inputs[index] : kAbsent;
}

const onnx::AttributeProto* OnnxNode::find(std::string_view attribute) const {
  for (const onnx::AttributeProto& candidate : proto_->attribute()) {
    if (candidate.name() == attribute) return &candidate;
  }
  return nullptr;
}

const onnx::AttributeProto* OnnxNode::find(std::string_view attribute, onnx::AttributeProto::AttributeType type) const {
  const onnx::AttributeProto* found = find(attribute);
  if (found != nullptr && found->type() != type) {
    fail("attribute '" + std::string(attribute) + "' has type " + std::to_string(found->type()) + ", wants " +
         std::to_string(type));
  }
  return found;
}

std::int64_t OnnxNode::integer(std::string_view attribute, std::int64_t otherwise) const {
  const auto* found = find(attribute, onnx::AttributeProto::INT);
  return found != nullptr ? found->i() : otherwise;
}

double OnnxNode::real(std::string_view attribute, double otherwise) const {
  const auto* found = find(attribute, onnx::AttributeProto::FLOAT);
  return found != nullptr ? static_cast<double>(found->f()) : otherwise;
}

std::string OnnxNode::text(std::string_view attribute, std::string_view otherwise) const {
  const auto* found = find(attribute, onnx::AttributeProto::STRING);
  return found != nullptr ? found->s() : std::string(otherwise);
}

std::vector<std::int64_t> OnnxNode::integers(std::string_view attribute) const {
  const auto* found = find(attribute, onnx::AttributeProto::INTS);
  if (found == nullptr) return {};
  return {found->ints().begin(), found->ints().end()};
}

std::vector<double> OnnxNode::reals(std::string_view attribute) const {
  const auto* found = find(attribute, onnx::AttributeProto::FLOATS);
  if (found == nullptr) return {};
  return {found->floats().begin(), found->floats().end()};
}

const onnx::TensorProto* OnnxNode::tensor(std::string_view attribute) const {
  const auto* found = find(attribute, onnx::AttributeProto::TENSOR);
  return found != nullptr ? &found->t() : nullptr;
}

std::string OnnxNode::label() const { return "node " + in_quotes(name) + " (" + printable(type()) + ")"; }

void OnnxNode::fail(const std::string& what) const { throw ModelError(label() + ": " + what); }

}  // namespace dml
