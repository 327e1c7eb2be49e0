// Binders of operations that move elements, of Cast and of Gather.
#include <array>
#include <vector>

#include "kernels/cast.h"
#include "models/op.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {
namespace {

/// bind(Index{}) with the type of the indices.
template <typename Bind>
Kernel for_index(const BindArgs& args, const Bind& bind) {
  if (args.in[1].dtype == DataType::i64) return bind(std::int64_t{});
  if (args.in[1].dtype == DataType::i32) return bind(std::int32_t{});
  fail_type(args, args.in[1].dtype);
}

}  // namespace

Kernel bind_cast(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], &queue = args.queue] { cast(y, x, queue); };
}

Kernel bind_reshape(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], &queue = args.queue] {
    if (y.data != x.data) copy(y, x, queue);
  };
}

Kernel bind_transpose(const BindArgs& args) {
  return [y = args.out[0].data, x = args.in[0].as<const void>(),
          plan = plan_transpose(args.in[0].shape, args.node.attrs.integers("perm")), size = size_of(args.in[0].dtype),
          &queue = args.queue] { transpose(y, x, plan, size, queue); };
}

Kernel bind_expand(const BindArgs& args) {
  return [y = args.out[0].data, x = args.in[0].as<const void>(),
          plan = plan_broadcast(args.out[0].shape, std::array{args.in[0].shape}), size = size_of(args.in[0].dtype),
          &queue = args.queue] { expand(y, x, plan, size, queue); };
}

Kernel bind_slice(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], axis = axis_of(args, args.in[0].shape),
          start = args.node.attrs.integer("start"), step = args.node.attrs.integer("step", 1),
          &queue = args.queue] { slice(y, x, axis, start, step, queue); };
}

Kernel bind_slice_grad(const BindArgs& args) {
  return [dx = args.out[0], dy = args.in[0], axis = axis_of(args, args.out[0].shape),
          start = args.node.attrs.integer("start"), step = args.node.attrs.integer("step", 1),
          &queue = args.queue] { slice_grad(dx, dy, axis, start, step, queue); };
}

Kernel bind_concat(const BindArgs& args) {
  return [y = args.out[0], xs = std::vector<TensorView>(args.in.begin(), args.in.end()),
          axis = axis_of(args, args.out[0].shape), &queue = args.queue] { concat(y, xs, axis, queue); };
}

Kernel bind_split(const BindArgs& args) {
  return [ys = std::vector<TensorView>(args.out.begin(), args.out.end()), x = args.in[0],
          axis = axis_of(args, args.in[0].shape), &queue = args.queue] { split(ys, x, axis, queue); };
}

Kernel bind_gather(const BindArgs& args) {
  return for_index(args, [&]<typename Index>(Index) -> Kernel {
    return [y = args.out[0].data, x = args.in[0].as<const void>(), indices = args.in[1].as<const Index>(),
            shape = gather_shape(args.node.attrs, args.in[0].shape, args.in[1].shape), size = size_of(args.in[0].dtype),
            &queue = args.queue] { gather(y, x, indices, shape, size, queue); };
  });
}

Kernel bind_gather_grad(const BindArgs& args) {
  return for_storage(args, args.out[0].dtype, [&]<typename T>(T) {
    return for_index(args, [&]<typename Index>(Index) -> Kernel {
      return [dx = out<T>(args, 0), dy = in<T>(args, 0), indices = args.in[1].as<const Index>(),
              shape = gather_shape(args.node.attrs, args.out[0].shape, args.in[1].shape),
              &queue = args.queue] { gather_grad(dx, dy, indices, shape, queue); };
    });
  });
}

Kernel bind_shard_slice(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], sharded = sharded_dim(args.node.attrs, args.in[0].shape),
          begin = args.node.attrs.integer("begin"), end = args.node.attrs.integer("end"),
          &queue = args.queue] { shard_slice(y, x, sharded, begin, end, queue); };
}

Kernel bind_shard_merge(const BindArgs& args) {
  return [y = args.out[0], x = args.in[0], sharded = sharded_dim(args.node.attrs, args.out[0].shape),
          parts = args.node.attrs.integer("parts"), &queue = args.queue] { shard_merge(y, x, sharded, parts, queue); };
}

}  // namespace dml::cuda
