// Binders of operations that move elements, and of Gather.
#include <array>
#include <vector>

#include "models/op.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {
namespace {

template <typename Index>
Kernel gather_of(const BindArgs& args) {
  return [y = args.out[0].data, x = static_cast<const void*>(args.in[0].data), indices = args.in[1].as<const Index>(),
          shape = gather_shape(args.node.attrs, args.in[0].shape, args.in[1].shape),
          size = size_of(args.in[0].dtype)] { cpu::gather(y, x, indices, shape, size); };
}

template <typename Index>
Kernel gather_grad_of(const BindArgs& args) {
  return [dx = f32_out(args, 0), dy = f32_in(args, 0), indices = args.in[1].as<const Index>(),
          shape = gather_shape(args.node.attrs, args.out[0].shape, args.in[1].shape)] {
    cpu::gather_grad(dx, dy, indices, shape);
  };
}

}  // namespace

Kernel bind_reshape(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0]] {
    if (y.data != x.data) cpu::copy(y, x);
  };
}

Kernel bind_transpose(const BindArgs& args) {
  return [y = args.out[0].data, x = static_cast<const void*>(args.in[0].data),
          plan = plan_transpose(args.in[0].shape, args.node.attrs.integers("perm")),
          size = size_of(args.in[0].dtype)] { cpu::transpose(y, x, plan, size); };
}

Kernel bind_expand(const BindArgs& args) {
  return [y = args.out[0].data, x = static_cast<const void*>(args.in[0].data),
          plan = plan_broadcast(args.out[0].shape, std::array{args.in[0].shape}),
          size = size_of(args.in[0].dtype)] { cpu::expand(y, x, plan, size); };
}

Kernel bind_slice(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], axis = axis_of(args, args.in[0].shape),
          start = args.node.attrs.integer("start"),
          step = args.node.attrs.integer("step", 1)] { cpu::slice(y, x, axis, start, step); };
}

Kernel bind_slice_grad(const BindArgs& args) {
  return [dx = args.out[0], dy = args.in[0], axis = axis_of(args, args.out[0].shape),
          start = args.node.attrs.integer("start"),
          step = args.node.attrs.integer("step", 1)] { cpu::slice_grad(dx, dy, axis, start, step); };
}

Kernel bind_concat(const BindArgs& args) {
  return [y = args.out[0], xs = std::vector<TensorView>(args.in.begin(), args.in.end()),
          axis = axis_of(args, args.out[0].shape)] { cpu::concat(y, xs, axis); };
}

Kernel bind_split(const BindArgs& args) {
  return [ys = std::vector<TensorView>(args.out.begin(), args.out.end()), x = args.in[0],
          axis = axis_of(args, args.in[0].shape)] { cpu::split(ys, x, axis); };
}

Kernel bind_gather(const BindArgs& args) {
  if (args.in[1].dtype == DataType::i64) return gather_of<std::int64_t>(args);
  if (args.in[1].dtype == DataType::i32) return gather_of<std::int32_t>(args);
  fail_type(args, args.in[1].dtype);
}

Kernel bind_gather_grad(const BindArgs& args) {
  if (args.in[1].dtype == DataType::i64) return gather_grad_of<std::int64_t>(args);
  if (args.in[1].dtype == DataType::i32) return gather_grad_of<std::int32_t>(args);
  fail_type(args, args.in[1].dtype);
}

Kernel bind_shard_slice(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], sharded = sharded_dim(args.node.attrs, args.in[0].shape),
          begin = args.node.attrs.integer("begin"),
          end = args.node.attrs.integer("end")] { cpu::shard_slice(y, x, sharded, begin, end); };
}

Kernel bind_shard_merge(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], sharded = sharded_dim(args.node.attrs, args.out[0].shape),
          parts = args.node.attrs.integer("parts")] { cpu::shard_merge(y, x, sharded, parts); };
}

}  // namespace dml
