// Binders of operations that work element by element.
#include "kernels/cast.h"
#include "kernels/elementwise.h"
#include "kernels/unary.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {
namespace {

template <typename T>
Kernel binary_of(const BindArgs& args, BinaryOp op) {
  return [op, y = args.out[0].as<T>(), a = args.in[0].as<const T>(), b = args.in[1].as<const T>(),
          plan = broadcast_plan(args)] { cpu::binary(op, y, a, b, plan); };
}

template <typename T>
Kernel compare_of(const BindArgs& args, CompareOp op) {
  return [op, y = args.out[0].as<std::uint8_t>(), a = args.in[0].as<const T>(), b = args.in[1].as<const T>(),
          plan = broadcast_plan(args)] { cpu::compare(op, y, a, b, plan); };
}

template <typename T>
Kernel where_of(const BindArgs& args) {
  return [y = args.out[0].as<T>(), condition = args.in[0].as<const std::uint8_t>(), a = args.in[1].as<const T>(),
          b = args.in[2].as<const T>(), plan = broadcast_plan(args)] { cpu::where(y, condition, a, b, plan); };
}

template <typename T>
Kernel unary_of(const BindArgs& args, UnaryOp op) {
  return [op, y = args.out[0].as<T>(), x = args.in[0].as<const T>(), n = args.out[0].num_elements()] {
    cpu::unary(op, y, x, n);
  };
}

}  // namespace

Kernel bind_binary(const BindArgs& args) {
  const BinaryOp op = binary_op(args);
  for (const TensorView& x : args.in) require_type(args, x, args.out[0].dtype);
  if (args.out[0].dtype == DataType::f32) return binary_of<float>(args, op);
  if (args.out[0].dtype == DataType::i64) return binary_of<std::int64_t>(args, op);
  fail_type(args, args.out[0].dtype);
}

Kernel bind_compare(const BindArgs& args) {
  const CompareOp op = compare_op(args);
  const DataType type = args.in[0].dtype;
  require_type(args, args.in[1], type);
  require_type(args, args.out[0], DataType::boolean);
  if (type == DataType::f32) return compare_of<float>(args, op);
  if (type == DataType::i64) return compare_of<std::int64_t>(args, op);
  if (type == DataType::boolean || type == DataType::u8) return compare_of<std::uint8_t>(args, op);
  fail_type(args, type);
}

Kernel bind_logical(const BindArgs& args) {
  const LogicalOp op = logical_op(args);
  for (const TensorView& x : args.in) require_type(args, x, DataType::boolean);
  return [op, y = args.out[0].as<std::uint8_t>(), a = args.in[0].as<const std::uint8_t>(),
          b = args.in[1].as<const std::uint8_t>(), plan = broadcast_plan(args)] { cpu::logical(op, y, a, b, plan); };
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
  return [op = output_grad_op(args), dx = f32_out(args, 0), dy = f32_in(args, 0), y = f32_in(args, 1),
          n = args.out[0].num_elements()] { cpu::unary_grad(op, dx, dy, y, n); };
}

Kernel bind_gelu_grad(const BindArgs& args) {
  return [op = input_grad_op(args), dx = f32_out(args, 0), dy = f32_in(args, 0), x = f32_in(args, 1),
          n = args.out[0].num_elements()] { cpu::unary_grad(op, dx, dy, x, n); };
}

Kernel bind_clip_grad(const BindArgs& args) {
  return [dx = f32_out(args, 0), dy = f32_in(args, 0), x = f32_in(args, 1), n = args.out[0].num_elements(),
          bounds = bounds_of(args)] { cpu::clip_grad(dx, dy, x, n, bounds.low, bounds.high); };
}

Kernel bind_cast(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0]] { cpu::cast(y, x); };
}

}  // namespace dml
