// Slice, Concat and Split along one dim.
#include "models/ops/families.h"
#include "models/ops/rules.h"

namespace dml {
namespace {

using rules::Outputs;

std::string range_text(const Node& node) {
  return "start " + std::to_string(node.attrs.integer("start")) + ", end " + std::to_string(node.attrs.integer("end")) +
         ", step " + std::to_string(node.attrs.integer("step", 1));
}

Outputs infer_slice(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const int axis = rules::axis_of(node, x.shape);
  const std::int64_t extent = x.shape[axis];
  const std::int64_t start = node.attrs.integer("start");
  const std::int64_t end = node.attrs.integer("end");
  const std::int64_t step = node.attrs.integer("step", 1);
  const bool fits = step > 0   ? start >= 0 && start <= extent && end >= 0 && end <= extent
                    : step < 0 ? start >= 0 && start < extent && end >= -1 && end < extent
                               : false;
  if (!fits) rules::fail(node, range_text(node) + " of dim " + std::to_string(axis) + " of " + x.shape.to_string());
  const std::int64_t span = step > 0 ? end - start : start - end;
  const std::int64_t stride = step > 0 ? step : -step;
  Shape y = x.shape;
  y[axis] = span <= 0 ? 0 : (span + stride - 1) / stride;
  return {{x.dtype, y}};
}

void slice_gradient(GradientBuilder& builder, const Node& node) {
  const Shape x = builder.graph.shape(node.inputs[0]);
  const auto attrs = Attributes()
                         .set("axis", std::int64_t{rules::axis_of(node, x)})
                         .set("start", node.attrs.integer("start"))
                         .set("step", node.attrs.integer("step", 1))
                         .set("shape", x.to_vector());
  builder.input_grads[0] = builder.add("SliceGrad", {builder.output_grads[0]}, attrs, builder.phase_of(0));
}

Outputs infer_slice_grad(const Graph& graph, const Node& node) {
  const Shape& dy = rules::shape(graph, node, 0);
  const Shape x = rules::shape_attribute(node);
  rules::require(dy.rank() == x.rank(), node, "dy is " + dy.to_string() + ", x is " + x.to_string());
  const int axis = rules::axis_of(node, x);
  const std::int64_t first = node.attrs.integer("start");
  const std::int64_t last = first + (dy[axis] - 1) * node.attrs.integer("step", 1);
  const bool fits = dy[axis] == 0 || (first >= 0 && first < x[axis] && last >= 0 && last < x[axis]);
  if (!fits)
    rules::fail(node, "rows " + std::to_string(first) + " to " + std::to_string(last) + " of " + x.to_string());
  return rules::as_attribute(graph, node);
}

Outputs infer_concat(const Graph& graph, const Node& node) {
  const Value& first = rules::input(graph, node, 0);
  const int axis = rules::axis_of(node, first.shape);
  Shape y = first.shape;
  for (int index = 1; index < static_cast<int>(node.inputs.size()); ++index) {
    rules::require_type(graph, node, index, first.dtype);
    const Shape& x = rules::shape(graph, node, index);
    Shape other = x;
    if (x.rank() == y.rank()) other[axis] = first.shape[axis];
    if (other != first.shape) {
      rules::fail(node, "shapes differ outside dim " + std::to_string(axis) + ": " + first.shape.to_string() + " and " +
                            x.to_string());
    }
    y[axis] += x[axis];
  }
  return {{first.dtype, y}};
}

void concat_gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.output_grads[0];
  const int axis = rules::axis_of(node, builder.graph.shape(dy));
  std::int64_t start = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const std::int64_t end = start + builder.graph.shape(node.inputs[i])[axis];
    if (builder.wanted[i]) {
      const auto attrs =
          Attributes().set("axis", std::int64_t{axis}).set("start", start).set("end", end).set("step", std::int64_t{1});
      builder.input_grads[i] = builder.add("Slice", {dy}, attrs, builder.phase_of(static_cast<int>(i)));
    }
    start = end;
  }
}

Outputs infer_split(const Graph& graph, const Node& node) {
  const Value& x = rules::input(graph, node, 0);
  const int axis = rules::axis_of(node, x.shape);
  Outputs outputs;
  std::int64_t total = 0;
  for (const std::int64_t size : node.attrs.integers("sizes")) {
    rules::require(size >= 0, node, "size " + std::to_string(size));
    total += size;
    Shape y = x.shape;
    y[axis] = size;
    outputs.push_back({x.dtype, y});
  }
  if (total != x.shape[axis] || outputs.empty()) {
    rules::fail(node, "sizes sum to " + std::to_string(total) + ", dim " + std::to_string(axis) + " of " +
                          x.shape.to_string() + " does not");
  }
  return outputs;
}

void split_gradient(GradientBuilder& builder, const Node& node) {
  const int axis = rules::axis_of(node, builder.graph.shape(node.inputs[0]));
  std::vector<ValueId> parts = builder.output_grads;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] != kNone) continue;
    const auto shape = builder.graph.shape(node.outputs[i]).to_vector();
    parts[i] = builder.add("Expand", {builder.constant(0)}, Attributes().set("shape", shape), builder.phase_of(0));
  }
  builder.input_grads[0] =
      builder.add("Concat", parts, Attributes().set("axis", std::int64_t{axis}), builder.phase_of(0));
}

constexpr OpDef kOps[] = {
    {.name = "Slice", .infer = infer_slice, .gradient = slice_gradient},
    {.name = "Concat", .min_inputs = 1, .max_inputs = -1, .infer = infer_concat, .gradient = concat_gradient},
    {.name = "Split", .num_outputs = -1, .infer = infer_split, .gradient = split_gradient},
    {.name = "SliceGrad", .infer = infer_slice_grad},
};

}  // namespace

std::span<const OpDef> slicing_ops() { return kOps; }

}  // namespace dml
