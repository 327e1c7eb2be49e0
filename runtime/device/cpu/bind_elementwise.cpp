// Binders of operations that work element by element.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "kernels/cast.h"
#include "kernels/elementwise.h"
#include "kernels/error.h"
#include "kernels/unary.h"
#include "models/op.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"

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

template <std::size_t N>
BroadcastPlan plan_of(const BindArgs& args) {
  std::array<Shape, N> shapes;
  for (std::size_t i = 0; i < N; ++i) shapes[i] = args.in[i].shape;
  return plan_broadcast(args.out[0].shape, shapes);
}

template <typename T>
Kernel binary_of(const BindArgs& args, BinaryOp op) {
  return [op, y = args.out[0].as<T>(), a = args.in[0].as<const T>(), b = args.in[1].as<const T>(),
          plan = plan_of<2>(args)] { cpu::binary(op, y, a, b, plan); };
}

template <typename T>
Kernel compare_of(const BindArgs& args, CompareOp op) {
  return [op, y = args.out[0].as<std::uint8_t>(), a = args.in[0].as<const T>(), b = args.in[1].as<const T>(),
          plan = plan_of<2>(args)] { cpu::compare(op, y, a, b, plan); };
}

template <typename T>
Kernel where_of(const BindArgs& args) {
  return [y = args.out[0].as<T>(), condition = args.in[0].as<const std::uint8_t>(), a = args.in[1].as<const T>(),
          b = args.in[2].as<const T>(), plan = plan_of<3>(args)] { cpu::where(y, condition, a, b, plan); };
}

template <typename T>
Kernel unary_of(const BindArgs& args, UnaryOp op) {
  return [op, y = args.out[0].as<T>(), x = args.in[0].as<const T>(), n = args.out[0].num_elements()] {
    cpu::unary(op, y, x, n);
  };
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
  return op == UnaryOp::gelu && args.node.attrs.text("approximate") == "tanh" ? UnaryOp::gelu_tanh : op;
}

struct Bounds {
  float low, high;
};

Bounds bounds_of(const BindArgs& args) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {static_cast<float>(args.node.attrs.real("min", -kInfinity)),
          static_cast<float>(args.node.attrs.real("max", kInfinity))};
}

}  // namespace

Kernel bind_binary(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, BinaryOp>>({
      {"Add", BinaryOp::add},
      {"Sub", BinaryOp::sub},
      {"Mul", BinaryOp::mul},
      {"Div", BinaryOp::div},
      {"Pow", BinaryOp::pow},
  });
  const BinaryOp op = op_of(args, kNames);
  for (const TensorView& x : args.in) require_type(args, x, args.out[0].dtype);
  if (args.out[0].dtype == DataType::f32) return binary_of<float>(args, op);
  if (args.out[0].dtype == DataType::i64) return binary_of<std::int64_t>(args, op);
  fail_type(args, args.out[0].dtype);
}

Kernel bind_compare(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, CompareOp>>({
      {"Equal", CompareOp::equal},
      {"Less", CompareOp::less},
      {"LessOrEqual", CompareOp::less_or_equal},
      {"Greater", CompareOp::greater},
      {"GreaterOrEqual", CompareOp::greater_or_equal},
  });
  const CompareOp op = op_of(args, kNames);
  const DataType type = args.in[0].dtype;
  require_type(args, args.in[1], type);
  require_type(args, args.out[0], DataType::boolean);
  if (type == DataType::f32) return compare_of<float>(args, op);
  if (type == DataType::i64) return compare_of<std::int64_t>(args, op);
  if (type == DataType::boolean || type == DataType::u8) return compare_of<std::uint8_t>(args, op);
  fail_type(args, type);
}

Kernel bind_logical(const BindArgs& args) {
  const LogicalOp op = args.node.op->name == "And" ? LogicalOp::conjunction : LogicalOp::disjunction;
  for (const TensorView& x : args.in) require_type(args, x, DataType::boolean);
  return [op, y = args.out[0].as<std::uint8_t>(), a = args.in[0].as<const std::uint8_t>(),
          b = args.in[1].as<const std::uint8_t>(), plan = plan_of<2>(args)] { cpu::logical(op, y, a, b, plan); };
}

Kernel bind_not(const BindArgs& args) {
  require_type(args, args.in[0], DataType::boolean);
  return [y = args.out[0].as<std::uint8_t>(), x = args.in[0].as<const std::uint8_t>(), n = args.out[0].num_elements()] {
    cpu::logical_not(y, x, n);
  };
}

Kernel bind_where(const BindArgs& args) {
  const DataType type = args.out[0].dtype;
  require_type(args, args.in[0], DataType::boolean);
  require_type(args, args.in[1], type);
  require_type(args, args.in[2], type);
  if (type == DataType::f32) return where_of<float>(args);
  if (type == DataType::i64) return where_of<std::int64_t>(args);
  if (size_of(type) == 1) return where_of<std::uint8_t>(args);
  fail_type(args, type);
}

Kernel bind_unary(const BindArgs& args) {
  const UnaryOp op = unary_op(args);
  const DataType type = args.in[0].dtype;
  require_type(args, args.out[0], type);
  if (type == DataType::f32) return unary_of<float>(args, op);
  if (type == DataType::i64 && (op == UnaryOp::neg || op == UnaryOp::abs)) return unary_of<std::int64_t>(args, op);
  fail_type(args, type);
}

Kernel bind_clip(const BindArgs& args) {
  return [y = f32_out(args, 0), x = f32_in(args, 0), n = args.out[0].num_elements(), bounds = bounds_of(args)] {
    cpu::clip(y, x, n, bounds.low, bounds.high);
  };
}

Kernel bind_output_grad(const BindArgs& args) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, OutputGradOp>>({
      {"ReluGrad", OutputGradOp::relu},
      {"SigmoidGrad", OutputGradOp::sigmoid},
      {"TanhGrad", OutputGradOp::tanh},
  });
  return [op = op_of(args, kNames), dx = f32_out(args, 0), dy = f32_in(args, 0), y = f32_in(args, 1),
          n = args.out[0].num_elements()] { cpu::unary_grad(op, dx, dy, y, n); };
}

Kernel bind_gelu_grad(const BindArgs& args) {
  const InputGradOp op = args.node.attrs.text("approximate") == "tanh" ? InputGradOp::gelu_tanh : InputGradOp::gelu;
  return [op, dx = f32_out(args, 0), dy = f32_in(args, 0), x = f32_in(args, 1), n = args.out[0].num_elements()] {
    cpu::unary_grad(op, dx, dy, x, n);
  };
}

Kernel bind_clip_grad(const BindArgs& args) {
  return [dx = f32_out(args, 0), dy = f32_in(args, 0), x = f32_in(args, 1), n = args.out[0].num_elements(),
          bounds = bounds_of(args)] { cpu::clip_grad(dx, dy, x, n, bounds.low, bounds.high); };
}

Kernel bind_cast(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0]] { cpu::cast(y, x); };
}

}  // namespace dml
