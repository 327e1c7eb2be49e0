// Writes a model as ONNX node by node, named as PyTorch's exporter does: node "/blocks.0/attn/q/MatMul" lies in the
// scope "/blocks.0/attn/q" and gives "/blocks.0/attn/q/MatMul_output_0"; its weight is "blocks.0.attn.q.weight".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/onnx/proto.h"
#include "models/zoo/initial_weights.h"
#include "models/zoo/spec.h"

namespace dml {

/// An initializer that still lacks its elements.
struct ZooWeight {
  std::string name;
  Shape shape;
  InitialWeights rule;
};

/// A model without elements, and how they begin. `weights` are in the order of the graph's initializers.
struct ZooModel {
  onnx::ModelProto proto;
  std::vector<ZooWeight> weights;
};

class ModelBuilder {
 public:
  using Names = std::vector<std::string>;

  explicit ModelBuilder(const std::string& model_name);

  /// An input or output whose first dim is the symbolic "batch".
  std::string input(const std::string& name, DataType type, const std::vector<std::int64_t>& sample_shape);
  void output(const std::string& value, const std::string& name, const std::vector<std::int64_t>& sample_shape);

  /// A float initializer of `scope`: weight("/norm", "bias", ...) is "norm.bias".
  std::string weight(const std::string& scope, const std::string& name, const Shape& shape, const InitialWeights& rule);
  /// Adds a node and returns its first output. Call `last` for its attributes.
  std::string node(const std::string& type, const std::string& scope, const Names& inputs, int num_outputs = 1);
  onnx::NodeProto& last();

  // Constant nodes.
  std::string scalar(const std::string& scope, float value);
  std::string boolean(const std::string& scope, bool value);
  std::string integers(const std::string& scope, const std::vector<std::int64_t>& values);

  std::string transpose(const std::string& scope, const std::string& x, const std::vector<std::int64_t>& perm);
  std::string reshape(const std::string& scope, const std::string& x, const std::vector<std::int64_t>& shape);
  /// y = x W^T + b over [N, in], with PyTorch's default initial weights.
  std::string gemm(const std::string& scope, const std::string& x, std::int64_t in, std::int64_t out);

  ZooModel take();

 private:
  onnx::GraphProto& graph() { return *model_.proto.mutable_graph(); }
  onnx::TensorProto& constant(const std::string& scope, DataType type, std::string* output);

  ZooModel model_;
  std::map<std::string, int> used_names_;
};

// One per family: the model that the options ask for; throws ModelError for options that disagree.
ZooModel make_gpt(const ModelSpec& spec);
ZooModel make_mlp(const ModelSpec& spec);
ZooModel make_resnet18(const ModelSpec& spec);

}  // namespace dml
