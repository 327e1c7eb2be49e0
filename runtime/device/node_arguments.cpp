#include "runtime/device/node_arguments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
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

}  // namespace dml
