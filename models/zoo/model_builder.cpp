#include "models/zoo/model_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dml {
namespace {

constexpr int kOpset = 17;
constexpr int kIrVersion = 8;

std::vector<OnnxDim> with_batch(const std::vector<std::int64_t>& sample_shape) {
  std::vector<OnnxDim> dims = {{"batch", 0}};
  for (const std::int64_t extent : sample_shape) dims.push_back({"", extent});
  return dims;
}

/// "/blocks.0/attn/q" as "blocks.0.attn.q".
std::string module_path(const std::string& scope) {
  std::string path = scope.substr(scope.starts_with('/') ? 1 : 0);
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

}  // namespace

ModelBuilder::ModelBuilder(const std::string& model_name) { model_.proto = make_proto(model_name, kOpset, kIrVersion); }

std::string ModelBuilder::input(const std::string& name, DataType type, const std::vector<std::int64_t>& sample_shape) {
  add_input(graph(), name, type, with_batch(sample_shape));
  return name;
}

void ModelBuilder::output(const std::string& value, const std::string& name,
                          const std::vector<std::int64_t>& sample_shape) {
  for (auto& node : *graph().mutable_node()) {
    for (auto& out : *node.mutable_output()) {
      if (out == value) out = name;
    }
  }
  add_output(graph(), name, DataType::f32, with_batch(sample_shape));
}

std::string ModelBuilder::weight(const std::string& scope, const std::string& name, const Shape& shape,
                                 const InitialWeights& rule) {
  std::string full_name = module_path(scope) + "." + name;
  add_initializer(graph(), full_name, DataType::f32, shape);
  model_.weights.push_back({full_name, shape, rule});
  return full_name;
}

std::string ModelBuilder::node(const std::string& type, const std::string& scope, const Names& inputs,
                               int num_outputs) {
  std::string name = scope + "/" + type;
  const int used = used_names_[name]++;
  if (used > 0) name += fmt::format("_{}", used);
  Names outputs;
  for (int i = 0; i < num_outputs; ++i) outputs.push_back(fmt::format("{}_output_{}", name, i));
  add_node(graph(), type, name, inputs, outputs);
  return outputs[0];
}

onnx::NodeProto& ModelBuilder::last() { return *graph().mutable_node(graph().node_size() - 1); }

onnx::TensorProto& ModelBuilder::constant(const std::string& scope, DataType type, std::string* output) {
  *output = node("Constant", scope, {});
  auto* attribute = last().add_attribute();
  attribute->set_name("value");
  attribute->set_type(onnx::AttributeProto::TENSOR);
  auto* tensor = attribute->mutable_t();
  tensor->set_data_type(onnx_type(type));
  return *tensor;
}

std::string ModelBuilder::scalar(const std::string& scope, float value) {
  std::string output;
  constant(scope, DataType::f32, &output).add_float_data(value);
  return output;
}

std::string ModelBuilder::boolean(const std::string& scope, bool value) {
  std::string output;
  constant(scope, DataType::boolean, &output).add_int32_data(value ? 1 : 0);
  return output;
}

std::string ModelBuilder::integers(const std::string& scope, const std::vector<std::int64_t>& values) {
  std::string output;
  auto& tensor = constant(scope, DataType::i64, &output);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t value : values) tensor.add_int64_data(value);
  return output;
}

std::string ModelBuilder::transpose(const std::string& scope, const std::string& x,
                                    const std::vector<std::int64_t>& perm) {
  std::string y = node("Transpose", scope, {x});
  set_attribute(last(), "perm", perm);
  return y;
}

std::string ModelBuilder::reshape(const std::string& scope, const std::string& x,
                                  const std::vector<std::int64_t>& shape) {
  return node("Reshape", scope, {x, integers(scope, shape)});
}

std::string ModelBuilder::gemm(const std::string& scope, const std::string& x, std::int64_t in, std::int64_t out) {
  const auto rule = InitialWeights::uniform(1 / std::sqrt(static_cast<double>(in)));
  std::string y =
      node("Gemm", scope, {x, weight(scope, "weight", Shape{out, in}, rule), weight(scope, "bias", Shape{out}, rule)});
  set_attribute(last(), "transB", std::int64_t{1});
  return y;
}

ZooModel ModelBuilder::take() { return std::move(model_); }

}  // namespace dml
