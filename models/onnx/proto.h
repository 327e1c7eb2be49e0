// The protobuf classes of ONNX, and what is needed to write a model with them. Only models/ includes this file.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/onnx/model_file.h"

#ifndef ONNX_ML
#define ONNX_ML 1
#endif
#ifndef ONNX_NAMESPACE
#define ONNX_NAMESPACE onnx
#endif
#include <onnx/onnx_pb.h>

namespace dml {

/// Content of initializers whose payload is not in the protobuf message: computed weights of built-in models.
using SourceMap = std::map<std::string, std::shared_ptr<const TensorSource>>;

/// A model from a message. An initializer without any payload is read from `sources`; where it is missing there too,
/// the model can be built and planned with, and reading that initializer throws IoError.
std::shared_ptr<const OnnxModel> make_model(onnx::ModelProto proto, std::string name, const SourceMap& sources = {});

/// An empty model with one opset import of ONNX's own domain.
onnx::ModelProto make_proto(const std::string& graph_name, std::int64_t opset = 17, std::int64_t ir_version = 8);
void add_input(onnx::GraphProto& graph, const std::string& name, DataType type, const std::vector<OnnxDim>& dims);
void add_output(onnx::GraphProto& graph, const std::string& name, DataType type, const std::vector<OnnxDim>& dims);
/// The returned reference holds until the next node is added. An empty input name is an absent input.
onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& type, const std::string& name,
                          const std::vector<std::string>& inputs, const std::vector<std::string>& outputs);
/// Without a payload: see make_model.
onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name, DataType type, const Shape& shape);
onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name, const Shape& shape,
                                   const std::vector<float>& elements);
onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name, const Shape& shape,
                                   const std::vector<std::int64_t>& elements);
void set_attribute(onnx::NodeProto& node, const std::string& name, std::int64_t value);
void set_attribute(onnx::NodeProto& node, const std::string& name, float value);
void set_attribute(onnx::NodeProto& node, const std::string& name, const std::string& value);
void set_attribute(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& value);

/// TensorProto::DataType of ours, and back; the latter throws ModelError for types that are not read (strings, complex
/// numbers, 8-bit floats), naming `tensor`.
std::int32_t onnx_type(DataType type);
DataType stored_type(std::int32_t onnx_type, const std::string& tensor);
/// The type that a Graph computes with: f32, i64 or boolean.
DataType computed_type(DataType stored);

}  // namespace dml
