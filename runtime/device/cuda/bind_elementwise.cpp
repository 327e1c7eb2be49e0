// Binders of operations that work element by element.
#include "kernels/elementwise.h"
#include "kernels/unary.h"
#include "runtime/device/cuda/bind.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {
namespace {

template <typename T>
Kernel binary_of(const BindArgs& args) {
  return [op = binary_op(args), y = args.out[0].as<T>(), a = in<T>(args, 0), b = in<T>(args, 1),
          plan = broadcast_plan(args), &queue = args.queue] { binary(op, y, a, b, plan, queue); };
}

template <typename T>
Kernel compare_of(const BindArgs& args) {
  return [op = compare_op(args), y = args.out[0].as<std::uint8_t>(), a = args.in[0].as<const T>(),
          b = args.in[1].as<const T>(), plan = broadcast_plan(args),
          &queue = args.queue] { compare(op, y, a, b, plan, queue); };
}

template <typename T>
Kernel where_of(const BindArgs& args) {
  return [y = args.out[0].as<T>(), condition = args.in[0].as<const std::uint8_t>(), a = args.in[1].as<const T>(),
          b = args.in[2].as<const T>(), plan = broadcast_plan(args),
          &queue = args.queue] { where(y, condition, a, b, plan, queue); };
}

template <typename T>
Kernel unary_of(const BindArgs& args, UnaryOp op) {
  return [op, y = out<T>(args, 0), x = in<T>(args, 0), n = args.out[0].num_elements(), &queue = args.queue] {
    unary(op, y, x, n, queue);
  };
}

}  // namespace

Kernel bind_binary(const BindArgs& args) {
  const DataType type = args.out[0].dtype;
  if (type == DataType::i64) return binary_of<std::int64_t>(args);
  return for_storage(args, type, [&](auto stored) { return binary_of<decltype(stored)>(args); });
}

Kernel bind_compare(const BindArgs& args) {
  const DataType type = args.in[0].dtype;
  require_type(args, args.in[1], type);
  require_type(args, args.out[0], DataType::boolean);
  if (type == DataType::i64) return compare_of<std::int64_t>(args);
  if (type == DataType::boolean || type == DataType::u8) return compare_of<std::uint8_t>(args);
  return for_storage(args, type, [&](auto stored) { return compare_of<decltype(stored)>(args); });
}

Kernel bind_logical(const BindArgs& args) {
  for (const TensorView& x : args.in) require_type(args, x, DataType::boolean);
  return [op = logical_op(args), y = args.out[0].as<std::uint8_t>(), a = args.in[0].as<const std::uint8_t>(),
          b = args.in[1].as<const std::uint8_t>(), plan = broadcast_plan(args),
          &queue = args.queue] { logical(op, y, a, b, plan, queue); };
}

Kernel bind_not(const BindArgs& args) {
  require_type(args, args.in[0], DataType::boolean);
  return [y = args.out[0].as<std::uint8_t>(), x = args.in[0].as<const std::uint8_t>(), n = args.out[0].num_elements(),
          &queue = args.queue] { logical_not(y, x, n, queue); };
}

Kernel bind_where(const BindArgs& args) {
  const DataType type = args.out[0].dtype;
  require_type(args, args.in[0], DataType::boolean);
  require_type(args, args.in[1], type);
  require_type(args, args.in[2], type);
  if (type == DataType::i64) return where_of<std::int64_t>(args);
  if (size_of(type) == 1) return where_of<std::uint8_t>(args);
  return for_storage(args, type, [&](auto stored) { return where_of<decltype(stored)>(args); });
}

Kernel bind_unary(const BindArgs& args) {
  const UnaryOp op = unary_op(args);
  const DataType type = args.in[0].dtype;
  if (type == DataType::i64 && (op == UnaryOp::neg || op == UnaryOp::abs)) return unary_of<std::int64_t>(args, op);
  return for_storage(args, type, [&](auto stored) { return unary_of<decltype(stored)>(args, op); });
}

Kernel bind_clip(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [y = out<T>(args, 0), x = in<T>(args, 0), n = args.out[0].num_elements(), bounds = bounds_of(args),
            &queue = args.queue] { clip(y, x, n, bounds.low, bounds.high, queue); };
  });
}

Kernel bind_output_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [op = output_grad_op(args), dx = out<T>(args, 0), dy = in<T>(args, 0), y = in<T>(args, 1),
            n = args.out[0].num_elements(), &queue = args.queue] { unary_grad(op, dx, dy, y, n, queue); };
  });
}

Kernel bind_gelu_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [op = input_grad_op(args), dx = out<T>(args, 0), dy = in<T>(args, 0), x = in<T>(args, 1),
            n = args.out[0].num_elements(), &queue = args.queue] { unary_grad(op, dx, dy, x, n, queue); };
  });
}

Kernel bind_clip_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [dx = out<T>(args, 0), dy = in<T>(args, 0), x = in<T>(args, 1), n = args.out[0].num_elements(),
            bounds = bounds_of(args), &queue = args.queue] { clip_grad(dx, dy, x, n, bounds.low, bounds.high, queue); };
  });
}

}  // namespace dml::cuda
