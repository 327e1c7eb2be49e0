#include "runtime/device/node_arguments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

/// The entry of `names` for the node's operation.
template <typename Op, std::size_t N>
Op op_of(const BindArgs& args, const std::array<std::pair<std::string_view, Op>, N>& names) {
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == args.node.op->name; });
  DML_ASSERT(found != names.end(), std::string(args.node.op->name));
  return found->second;
}

bool is_tanh_form(const BindArgs& args) { return args.node.attrs.text("approximate") == "tanh"; }

/// Of samples with `elems` elements here. The attribute is (dim, outer, units, inner, begin, end); the samples are in
/// dim 0, which is never split.
DropoutShard dropout_shard(const BindArgs& args, const Shape& shape, std::int64_t elems) {
  const auto shard = args.node.attrs.integers("shard");
  if (shard.empty()) return {elems, elems, 0};
  if (shard.size() != 6 || shard[0] < 1 || shard[0] >= shape.rank()) {
    throw std::invalid_argument(fmt::format("[dropout] {}: a shard of {} numbers along dim {} of {}", args.node.name,
                                            shard.size(), shard[0], shape.to_string()));
  }
  const std::int64_t inner = shard[3] * shape.product(static_cast<int>(shard[0]) + 1, shape.rank());
  return {(shard[5] - shard[4]) * inner, shard[2] * inner, shard[4] * inner};
}

/// `otherwise` where the attribute is absent.
Window::Extents extents_of(std::span<const std::int64_t> given, std::int64_t otherwise) {
  Window::Extents extents{otherwise, otherwise};
  std::copy_n(given.begin(), std::min<std::size_t>(given.size(), 2), extents.begin());
  return extents;
}

Window window_of(const Attributes& attrs) {
  const auto pads = attrs.integers("pads");
  const auto half = pads.size() / 2;
  Window window;
  window.kernel = extents_of(attrs.integers("kernel"), 1);
  window.strides = extents_of(attrs.integers("strides"), 1);
  window.pads_begin = extents_of(pads.first(half), 0);
  window.pads_end = extents_of(pads.subspan(half), 0);
  window.dilations = extents_of(attrs.integers("dilations"), 1);
  return window;
}

/// One spatial dim becomes the second of two.
void make_flat(Window::Extents& extents, std::int64_t outer) { extents = {outer, extents[0]}; }

}  // namespace

BinaryOp binary_op(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, BinaryOp>>({
      {"Add", BinaryOp::add},
      {"Sub", BinaryOp::sub},
      {"Mul", BinaryOp::mul},
      {"Div", BinaryOp::div},
      {"Pow", BinaryOp::pow},
  });
  return op_of(args, kNames);
}

CompareOp compare_op(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, CompareOp>>({
      {"Equal", CompareOp::equal},
      {"Less", CompareOp::less},
      {"LessOrEqual", CompareOp::less_or_equal},
      {"Greater", CompareOp::greater},
      {"GreaterOrEqual", CompareOp::greater_or_equal},
  });
  return op_of(args, kNames);
}

LogicalOp logical_op(const BindArgs& args) {
  return args.node.op->name == "And" ? LogicalOp::conjunction : LogicalOp::disjunction;
}

UnaryOp unary_op(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, UnaryOp>>({
      {"Relu", UnaryOp::relu},
      {"Sigmoid", UnaryOp::sigmoid},
      {"Tanh", UnaryOp::tanh},
      {"Erf", UnaryOp::erf},
      {"Exp", UnaryOp::exp},
      {"Log", UnaryOp::log},
      {"Sqrt", UnaryOp::sqrt},
      {"Neg", UnaryOp::neg},
      {"Reciprocal", UnaryOp::reciprocal},
      {"Abs", UnaryOp::abs},
      {"Gelu", UnaryOp::gelu},
  });
  const UnaryOp op = op_of(args, kNames);
  return op == UnaryOp::gelu && is_tanh_form(args) ? UnaryOp::gelu_tanh : op;
}

OutputGradOp output_grad_op(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, OutputGradOp>>({
      {"ReluGrad", OutputGradOp::relu},
      {"SigmoidGrad", OutputGradOp::sigmoid},
      {"TanhGrad", OutputGradOp::tanh},
  });
  return op_of(args, kNames);
}

InputGradOp input_grad_op(const BindArgs& args) {
  return is_tanh_form(args) ? InputGradOp::gelu_tanh : InputGradOp::gelu;
}

BroadcastPlan broadcast_plan(const BindArgs& args) {
  std::array<Shape, BroadcastPlan::kMaxOperands> shapes;
  DML_ASSERT(args.in.size() <= shapes.size(), args.node.name);
  std::transform(args.in.begin(), args.in.end(), shapes.begin(), [](const TensorView& x) { return x.shape; });
  return plan_broadcast(args.out[0].shape, std::span(shapes).first(args.in.size()));
}

Bounds bounds_of(const BindArgs& args) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {static_cast<float>(args.node.attrs.real("min", -kInfinity)),
          static_cast<float>(args.node.attrs.real("max", kInfinity))};
}

int axis_of(const BindArgs& args, const Shape& shape) { return shape.normalize(args.node.attrs.integer("axis", -1)); }

AroundDim around_axis(const BindArgs& args, const Shape& shape) {
  const int dim = axis_of(args, shape);
  return {shape.product(0, dim), shape[dim], shape.product(dim + 1, shape.rank())};
}

Rows rows_at_axis(const BindArgs& args, const Shape& shape) {
  const int axis = axis_of(args, shape);
  return {shape.product(0, axis), shape.product(axis, shape.rank())};
}

Reduction reduction_of(const BindArgs& args) {
  const Shape& shape = args.in[0].shape;
  const auto given = args.node.attrs.integers("axes");
  std::vector<std::int64_t> axes(given.begin(), given.end());
  if (!args.node.attrs.has("axes")) {
    axes.resize(static_cast<std::size_t>(shape.rank()));
    std::iota(axes.begin(), axes.end(), 0);
  }
  const double summed = static_cast<double>(shape.num_elements()) / static_cast<double>(args.out[0].num_elements());
  return {plan_reduce(shape, axes), args.node.op->name == "ReduceMean" ? 1.0 / summed : 1.0};
}

LogitRows logit_rows(const Shape& logits) { return {logits.product(0, logits.rank() - 1), logits.back()}; }

DropoutArguments dropout_arguments(const BindArgs& args) {
  const Shape& shape = args.in[0].shape;
  const std::int64_t rows = args.node.attrs.integer("sample_rows", 1);
  DropoutArguments dropout;
  dropout.samples = shape.rank() > 0 ? shape[0] / rows : 1;
  dropout.elems = rows * shape.product(1, shape.rank());
  dropout.site.site = args.node.attrs.integer("site");
  dropout.site.ratio = args.node.attrs.real("ratio");
  dropout.shard = dropout_shard(args, shape, dropout.elems);
  return dropout;
}

AttentionShape attention_shape(const BindArgs& args, const Shape& queries, std::int64_t keys, std::int64_t width,
                               std::size_t mask) {
  const Attributes& attrs = args.node.attrs;
  AttentionShape shape;
  shape.batch = queries[0];
  shape.heads = attrs.integer("heads");
  shape.queries = queries[1];
  shape.keys = keys;
  shape.width = width / shape.heads;
  shape.scale = static_cast<float>(attrs.real("scale", 1.0 / std::sqrt(static_cast<double>(shape.width))));
  shape.causal = attrs.integer("causal") != 0;
  if (mask >= args.in.size() || args.in[mask].data == nullptr) return shape;
  shape.mask = args.in[mask].as<const float>();
  const auto dense = strides_of(args.in[mask].shape);
  for (std::size_t dim = 0; dim < 4; ++dim) {
    shape.mask_strides[dim] = args.in[mask].shape[static_cast<int>(dim)] == 1 ? 0 : dense[dim];
  }
  return shape;
}

MatMulOptions matmul_options(const Attributes& attrs) {
  return {.trans_a = attrs.integer("trans_a") != 0,
          .trans_b = attrs.integer("trans_b") != 0,
          .accumulate = attrs.integer("accumulate") != 0,
          .alpha = static_cast<float>(attrs.real("alpha", 1))};
}

ConvOptions conv_options(const Attributes& attrs) { return {window_of(attrs), attrs.integer("group", 1)}; }

PoolGeometry pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y) {
  PoolGeometry geometry;
  geometry.window = window_of(attrs);
  geometry.planes = x[0] * x[1];
  geometry.count_include_pad = attrs.integer("count_include_pad") != 0;
  if (x.rank() == 4) {
    geometry.in = {x[2], x[3]};
    geometry.out = {y[2], y[3]};
    return geometry;
  }
  geometry.in = {1, x[2]};
  geometry.out = {1, y[2]};
  for (auto* extents : {&geometry.window.kernel, &geometry.window.strides, &geometry.window.dilations}) {
    make_flat(*extents, 1);
  }
  for (auto* extents : {&geometry.window.pads_begin, &geometry.window.pads_end}) make_flat(*extents, 0);
  return geometry;
}

PoolGeometry average_pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y) {
  for (const std::int64_t dilation : attrs.integers("dilations")) {
    if (dilation != 1) throw std::invalid_argument("[average_pool] dilation " + std::to_string(dilation));
  }
  return pool_geometry(attrs, x, y);
}

BatchNormExtents batch_norm_extents(const Shape& x) { return {x[0], x[1], x.product(2, x.rank())}; }

GatherShape gather_shape(const Attributes& attrs, const Shape& table, const Shape& indices) {
  const int axis = table.normalize(attrs.integer("axis", 0));
  GatherShape shape;
  shape.outer = table.product(0, axis);
  shape.rows = table[axis];
  shape.inner = table.product(axis + 1, table.rank());
  shape.indices = indices.num_elements();
  if (attrs.has("offset")) {
    shape.offset = attrs.integer("offset");
    shape.whole = attrs.integer("whole");
  }
  return shape;
}

ShardedDim sharded_dim(const Attributes& attrs, const Shape& whole) {
  return {whole.normalize(attrs.integer("dim")), attrs.integer("outer", 1), attrs.integer("units"),
          attrs.integer("inner", 1)};
}

}  // namespace dml
