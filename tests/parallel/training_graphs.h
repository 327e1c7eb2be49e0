// Training graphs of tests, from models to gradients, and random contents for them.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "models/autodiff.h"
#include "models/loss.h"
#include "models/onnx/model_file.h"
#include "models/rewrite/fuse.h"
#include "models/trainable.h"
#include "models/zoo/zoo.h"
#include "tests/models/small_graph.h"
#include "tests/reference/graph_evaluator.h"

namespace dml::test {

/// Appends loss and gradients. Cross entropy is over the last dim of the output.
inline Graph with_gradients(Graph graph, const std::string& loss) {
  const Shape output = graph.shape(graph.output);
  Shape label = output;
  if (loss == "cross_entropy") label = Shape(std::span(output.begin(), output.end() - 1));
  append_loss(graph, loss, loss == "cross_entropy" ? DataType::i64 : DataType::f32, label);
  append_backward(graph);
  return graph;
}

/// As training does it; the loss is cross entropy, or "mse".
inline Graph training_graph(const OnnxModel& model, std::int64_t samples, const std::string& loss = "cross_entropy") {
  Graph graph = model.build({.batch = samples, .dims = {}, .ties = {}, .unties = {}});
  choose_trainable(graph, {}, {});
  fuse(graph);
  return with_gradients(std::move(graph), loss);
}

inline Graph zoo_graph(const std::string& source, std::int64_t samples) {
  return training_graph(*load_builtin(source, 1), samples);
}

inline Graph fixture_graph(const std::string& name, std::int64_t samples, const std::string& loss = "cross_entropy") {
  return training_graph(*OnnxModel::load(std::string(DML_TEST_DATA) + "/fixtures/" + name + ".onnx"), samples, loss);
}

/// Rows of the table that an integer input looks up; what else takes integers gets 0 and 1.
inline std::int64_t rows_looked_up(const Graph& graph, ValueId input) {
  for (const Node& node : graph.nodes()) {
    if (node.op->name == "Gather" && node.inputs[1] == input) {
      return graph.shape(node.inputs[0])[static_cast<int>(node.attrs.integer("axis"))];
    }
  }
  return 2;
}

/// Random inputs, labels, parameters and states.
inline reference::Values random_content(const Graph& graph, unsigned seed) {
  std::mt19937 generator(seed);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
  };
  reference::Values content;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const Value& value = graph.value(id);
    if (value.role == Role::activation || value.role == Role::constant) continue;
    reference::Tensor64 tensor = reference::Tensor64::zeros(value.shape);
    const bool is_label = value.role == Role::label;
    const bool has_classes = is_label && !is_float(value.dtype);
    const auto last = has_classes ? graph.shape(graph.output).back() - 1 : rows_looked_up(graph, id) - 1;
    for (double& element : tensor.elements) {
      if (!is_float(value.dtype)) {
        element = std::floor(uniform(0, static_cast<double>(last) + 0.999));
        if (is_label && uniform(0, 1) < 0.1) element = -100;
      } else {
        element = value.role == Role::state ? uniform(0.5, 1.5) : uniform(-0.7, 0.7);
      }
    }
    content[id] = std::move(tensor);
  }
  return content;
}

}  // namespace dml::test
