// Small models made in the test itself.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/error.h"
#include "models/onnx/proto.h"
#include "models/op.h"

namespace dml::test {

inline std::string fixture(const std::string& name) { return std::string(DML_TEST_DATA) + "/fixtures/" + name; }

inline const std::vector<OnnxDim> kBatchBy8 = {{"batch", 0}, {"", 8}};

/// A model with one input "x" of batch x 8 floats, and an output "y".
inline onnx::ModelProto small_model(std::int64_t opset = 17) {
  onnx::ModelProto proto = make_proto("small", opset);
  add_input(*proto.mutable_graph(), "x", DataType::f32, kBatchBy8);
  add_output(*proto.mutable_graph(), "y", DataType::f32, {});
  return proto;
}

inline Graph build(onnx::ModelProto proto, std::int64_t batch = 2) {
  return make_model(std::move(proto), "small")->build({.batch = batch, .dims = {}, .ties = {}, .unties = {}});
}

/// The message of the Error that `action` throws.
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline std::string build_error(onnx::ModelProto proto, std::int64_t batch = 2) {
  return error_of([&] { build(std::move(proto), batch); });
}

inline const Node& node_of(const Graph& graph, std::string_view op) {
  for (const Node& node : graph.nodes()) {
    if (node.op->name == op) return node;
  }
  throw ModelError("the graph has no " + std::string(op));
}

/// Operations of the nodes in order, separated by spaces.
inline std::string operations_of(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes()) text += (text.empty() ? "" : " ") + std::string(node.op->name);
  return text;
}

/// All that must not depend on the batch size: operations, names, scopes, and what reads what.
inline std::string structure_of(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes()) {
    text += std::string(node.op->name) + " " + node.name + " " + node.scope;
    for (const ValueId id : node.inputs) text += " " + std::to_string(id);
    text += " ->";
    for (const ValueId id : node.outputs) text += " " + std::to_string(id);
    text += "\n";
  }
  for (const Value& value : graph.values())
    text += value.name + " " + std::to_string(static_cast<int>(value.role)) + "\n";
  return text;
}

inline std::vector<float> elements_of(const TensorSource& source) {
  std::vector<float> elements(static_cast<std::size_t>(source.shape().num_elements()));
  source.read_all_f32(elements.data());
  return elements;
}

}  // namespace dml::test
