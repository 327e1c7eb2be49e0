#include "models/onnx/proto.h"

#include "kernels/error.h"

namespace dml {
namespace {

void set_value_info(onnx::ValueInfoProto& info, const std::string& name, DataType type,
                    const std::vector<OnnxDim>& dims) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx_type(type));
  tensor.mutable_shape();
  for (const OnnxDim& dim : dims) {
    auto& extent = *tensor.mutable_shape()->add_dim();
    if (dim.name.empty()) {
      extent.set_dim_value(dim.extent);
    } else {
      extent.set_dim_param(dim.name);
    }
  }
}

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const std::string& name,
                                    onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

}  // namespace

onnx::ModelProto make_proto(const std::string& graph_name, std::int64_t opset, std::int64_t ir_version) {
  onnx::ModelProto proto;
  proto.set_ir_version(ir_version);
  proto.set_producer_name("dmltrain");
  proto.add_opset_import()->set_version(opset);
  proto.mutable_graph()->set_name(graph_name);
  return proto;
}

void add_input(onnx::GraphProto& graph, const std::string& name, DataType type, const std::vector<OnnxDim>& dims) {
  set_value_info(*graph.add_input(), name, type, dims);
}

void add_output(onnx::GraphProto& graph, const std::string& name, DataType type, const std::vector<OnnxDim>& dims) {
  set_value_info(*graph.add_output(), name, type, dims);
}

onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& type, const std::string& name,
                          const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(type);
  node.set_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  return node;
}

onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name, DataType type,
                                   const Shape& shape) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx_type(type));
  for (const std::int64_t extent : shape) tensor.add_dims(extent);
  return tensor;
}

onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name, const Shape& shape,
                                   const std::vector<float>& elements) {
  onnx::TensorProto& tensor = add_initializer(graph, name, DataType::f32, shape);
  tensor.set_raw_data(elements.data(), elements.size() * sizeof(float));
  return tensor;
}

onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name, const Shape& shape,
                                   const std::vector<std::int64_t>& elements) {
  onnx::TensorProto& tensor = add_initializer(graph, name, DataType::i64, shape);
  tensor.set_raw_data(elements.data(), elements.size() * sizeof(std::int64_t));
  return tensor;
}

void set_attribute(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  add_attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

void set_attribute(onnx::NodeProto& node, const std::string& name, float value) {
  add_attribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}

void set_attribute(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  add_attribute(node, name, onnx::AttributeProto::STRING).set_s(value);
}

void set_attribute(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& value) {
  onnx::AttributeProto& attribute = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t element : value) attribute.add_ints(element);
}

std::int32_t onnx_type(DataType type) {
  switch (type) {
    case DataType::f32: return onnx::TensorProto::FLOAT;
    case DataType::f64: return onnx::TensorProto::DOUBLE;
    case DataType::f16: return onnx::TensorProto::FLOAT16;
    case DataType::bf16: return onnx::TensorProto::BFLOAT16;
    case DataType::i64: return onnx::TensorProto::INT64;
    case DataType::i32: return onnx::TensorProto::INT32;
    case DataType::u8: return onnx::TensorProto::UINT8;
    case DataType::boolean: return onnx::TensorProto::BOOL;
  }
  return onnx::TensorProto::UNDEFINED;
}

DataType stored_type(std::int32_t onnx_type, const std::string& tensor) {
  switch (onnx_type) {
    case onnx::TensorProto::FLOAT: return DataType::f32;
    case onnx::TensorProto::DOUBLE: return DataType::f64;
    case onnx::TensorProto::FLOAT16: return DataType::f16;
    case onnx::TensorProto::BFLOAT16: return DataType::bf16;
    case onnx::TensorProto::INT32: return DataType::i32;
    case onnx::TensorProto::UINT8: return DataType::u8;
    case onnx::TensorProto::BOOL: return DataType::boolean;
    case onnx::TensorProto::INT64:
    case onnx::TensorProto::INT8:
    case onnx::TensorProto::INT16:
    case onnx::TensorProto::UINT16:
    case onnx::TensorProto::UINT32:
    case onnx::TensorProto::UINT64: return DataType::i64;
    default: break;
  }
  const bool is_known = onnx::TensorProto::DataType_IsValid(onnx_type);
  const std::string type = is_known
                               ? onnx::TensorProto::DataType_Name(static_cast<onnx::TensorProto::DataType>(onnx_type))
                               : "type " + std::to_string(onnx_type);
  throw ModelError("tensor '" + tensor + "' is " + type + "; floats of 16, 32 or 64 bits, integers and bool are read");
}

DataType computed_type(DataType stored) {
  if (is_float(stored)) return DataType::f32;
  return stored == DataType::boolean ? DataType::boolean : DataType::i64;
}

}  // namespace dml
