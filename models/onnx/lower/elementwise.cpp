// Lowering of operations that work element by element, of softmax and of dropout.
#include "kernels/error.h"
#include "models/onnx/lower/lowering.h"

namespace dml {

void lower_same(Lowering& lowering) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < lowering.node.inputs.size(); ++i) inputs.push_back(lowering.input(i));
  lowering.finish(lowering.node.type(), std::move(inputs));
}

void lower_identity(Lowering& lowering) { lowering.bind(0, lowering.input(0)); }

// The Graph computes in f32: casts between floats are nothing, and so are those between integers.
void lower_cast(Lowering& lowering) {
  const auto to = static_cast<std::int32_t>(lowering.node.integer("to", 0));
  const DataType type = computed_type(stored_type(to, lowering.node.name));
  if (lowering.graph.value(lowering.input(0)).dtype == type) return lower_identity(lowering);
  lowering.finish("Cast", {lowering.input(0)}, Attributes().set("to", std::string(name_of(type))));
}

// The exponent may be of another type than the base.
void lower_pow(Lowering& lowering) {
  ValueId exponent = lowering.input(1);
  if (lowering.graph.value(exponent).dtype != DataType::f32) {
    exponent = lowering.emit("Cast", {exponent}, Attributes().set("to", "f32"), "exponent");
  }
  lowering.finish("Pow", {lowering.input(0), exponent});
}

void lower_clip(Lowering& lowering) {
  Attributes attrs;
  if (lowering.has_input(1)) attrs.set("min", lowering.scalar(1, 0));
  if (lowering.has_input(2)) attrs.set("max", lowering.scalar(2, 0));
  lowering.finish("Clip", {lowering.input(0)}, std::move(attrs));
}

void lower_gelu(Lowering& lowering) {
  const std::string form = lowering.node.text("approximate", "none");
  if (form != "none" && form != "tanh") lowering.node.fail("approximate is '" + form + "', wants none or tanh");
  lowering.finish("Gelu", {lowering.input(0)}, Attributes().set("approximate", form));
}

void lower_softmax(Lowering& lowering) {
  const std::int64_t axis = lowering.shape(0).normalize(lowering.node.integer("axis", -1));
  lowering.finish(lowering.node.type(), {lowering.input(0)}, Attributes().set("axis", axis));
}

/// Rows of `shape` that belong to one sample: several where batch and time are one dim, as in [B·T, C].
std::int64_t rows_of_a_sample(const Graph& graph, const Shape& shape) {
  if (shape.rank() == 0 || graph.inputs.empty()) return 1;
  const Shape& fed = graph.shape(graph.inputs.front());
  const bool is_merged = fed.rank() > 0 && fed[0] > 0 && shape[0] >= fed[0] && shape[0] % fed[0] == 0;
  return is_merged ? shape[0] / fed[0] : 1;
}

// Outside training mode, and with a ratio of 0, it is nothing. Sites are counted so that each draws a mask of its own.
void lower_dropout(Lowering& lowering) {
  if (lowering.node.has_output(1)) lowering.node.fail("its mask is read, which is not supported");
  const double ratio = lowering.scalar(1, 0.5);
  if (lowering.scalar(2, 0) == 0 || ratio == 0) return lower_identity(lowering);
  lowering.finish("Dropout", {lowering.input(0)},
                  Attributes()
                      .set("ratio", ratio)
                      .set("site", lowering.next_dropout_site())
                      .set("sample_rows", rows_of_a_sample(lowering.graph, lowering.shape(0))));
}

}  // namespace dml
