#include "models/loss.h"

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

ValueId add_label(Graph& graph, DataType dtype, const Shape& shape) {
  Value label;
  label.name = "label";
  label.dtype = dtype;
  label.shape = shape;
  label.role = Role::label;
  graph.label = graph.add_value(std::move(label));
  return graph.label;
}

[[noreturn]] void fail(const Graph& graph, const std::string& kind, DataType dtype, const Shape& shape) {
  const Value& output = graph.value(graph.output);
  throw ModelError("loss " + kind + ": the output '" + output.name + "' is " + std::string(name_of(output.dtype)) +
                   " " + output.shape.to_string() + ", the labels are " + std::string(name_of(dtype)) + " " +
                   shape.to_string());
}

Shape without(const Shape& shape, int dropped) {
  Shape result;
  for (int dim = 0; dim < shape.rank(); ++dim) {
    if (dim != dropped) result.push_back(shape[dim]);
  }
  return result;
}

// [N, V, ..] to [N, .., V]
ValueId classes_last(Graph& graph, ValueId logits) {
  std::vector<std::int64_t> perm{0};
  for (int dim = 2; dim < graph.shape(logits).rank(); ++dim) perm.push_back(dim);
  perm.push_back(1);
  return graph.add("Transpose", {logits}, Attributes().set("perm", perm), "loss.classes_last");
}

ValueId as_f32(Graph& graph, ValueId output) {
  if (graph.value(output).dtype == DataType::f32) return output;
  return graph.add("Cast", {output}, Attributes().set("to", std::string("f32")), "loss.cast");
}

void append_cross_entropy(Graph& graph, DataType dtype, const Shape& labels) {
  const Shape logits = graph.shape(graph.output);
  const bool fits = is_float(graph.value(graph.output).dtype) && !is_float(dtype) && logits.rank() >= 1;
  const bool is_last = fits && without(logits, logits.rank() - 1) == labels;
  const bool is_second = fits && !is_last && logits.rank() > 2 && without(logits, 1) == labels;
  if (!is_last && !is_second) fail(graph, "cross_entropy", dtype, labels);
  const ValueId output = as_f32(graph, graph.output);
  const ValueId rows = is_second ? classes_last(graph, output) : output;
  graph.loss = graph.add("CrossEntropy", {rows, add_label(graph, DataType::i64, labels)}, {}, "loss");
}

void append_squared_error(Graph& graph, DataType dtype, const Shape& labels) {
  const Value& output = graph.value(graph.output);
  if (!is_float(output.dtype) || output.shape.num_elements() != labels.num_elements())
    fail(graph, "mse", dtype, labels);
  ValueId prediction = as_f32(graph, graph.output);
  if (graph.shape(prediction) != labels) {
    prediction = graph.add("Reshape", {prediction}, Attributes().set("shape", labels.to_vector()), "loss.reshape");
  }
  graph.loss = graph.add("MeanSquaredError", {prediction, add_label(graph, DataType::f32, labels)}, {}, "loss");
}

bool is_scalar_float(const Value& value) { return is_float(value.dtype) && value.shape.num_elements() == 1; }

}  // namespace

void append_loss(Graph& graph, const std::string& kind, DataType label_dtype, Shape label_shape) {
  DML_ASSERT(graph.output != kNone, "the graph has no output");
  if (kind == "cross_entropy") return append_cross_entropy(graph, label_dtype, label_shape);
  if (kind == "mse") return append_squared_error(graph, label_dtype, label_shape);
  if (kind != "auto") throw std::invalid_argument("[loss] '" + kind + "' is none of auto, cross_entropy, mse");
  if (is_scalar_float(graph.value(graph.output))) {
    graph.loss = graph.add("WeightedLoss", {as_f32(graph, graph.output)}, {}, "loss");
  } else if (!is_float(label_dtype)) {
    append_cross_entropy(graph, label_dtype, label_shape);
  } else {
    append_squared_error(graph, label_dtype, label_shape);
  }
}

}  // namespace dml
