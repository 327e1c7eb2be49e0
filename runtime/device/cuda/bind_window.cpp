// Binders of pools and of batch normalization.
#include "models/op.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {

Kernel bind_max_pool(const BindArgs& args) {
  require_type(args, args.out[1], DataType::i32);
  return for_storage(args, args.in[0].dtype, [&]<typename T>(T) -> Kernel {
    return [geometry = pool_geometry(args.node.attrs, args.in[0].shape, args.out[0].shape), y = out<T>(args, 0),
            where = args.out[1].as<std::int32_t>(), x = in<T>(args, 0),
            &queue = args.queue] { max_pool(y, where, x, geometry, queue); };
  });
}

Kernel bind_max_pool_grad(const BindArgs& args) {
  require_type(args, args.in[1], DataType::i32);
  return for_storage(args, args.in[0].dtype, [&]<typename T>(T) -> Kernel {
    return [geometry = pool_geometry(args.node.attrs, args.out[0].shape, args.in[0].shape), dx = out<T>(args, 0),
            dy = in<T>(args, 0), where = args.in[1].as<const std::int32_t>(),
            &queue = args.queue] { max_pool_grad(dx, dy, where, geometry, queue); };
  });
}

Kernel bind_average_pool(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&]<typename T>(T) -> Kernel {
    return [geometry = average_pool_geometry(args.node.attrs, args.in[0].shape, args.out[0].shape), y = out<T>(args, 0),
            x = in<T>(args, 0), &queue = args.queue] { average_pool(y, x, geometry, queue); };
  });
}

Kernel bind_average_pool_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&]<typename T>(T) -> Kernel {
    return
        [geometry = average_pool_geometry(args.node.attrs, args.out[0].shape, args.in[0].shape), dx = out<T>(args, 0),
         dy = in<T>(args, 0), &queue = args.queue] { average_pool_grad(dx, dy, geometry, queue); };
  });
}

Kernel bind_batch_norm(const BindArgs& args) {
  const BatchNormStatistics statistics{.saved_mean = out<float>(args, 1),
                                       .saved_rstd = out<float>(args, 2),
                                       .next_mean = out<float>(args, 3),
                                       .next_var = out<float>(args, 4),
                                       .mean = in<float>(args, 3),
                                       .var = in<float>(args, 4)};
  return for_storage(args, args.in[0].dtype, [&]<typename T>(T) -> Kernel {
    return
        [statistics, y = out<T>(args, 0), x = in<T>(args, 0), scale = in<T>(args, 1), bias = in<T>(args, 2),
         extents = batch_norm_extents(args.in[0].shape),
         epsilon = static_cast<float>(args.node.attrs.real("epsilon", 1e-5)),
         momentum = static_cast<float>(args.node.attrs.real("momentum", 0.9)), state = args.context.state,
         &queue = args.queue] { batch_norm(y, statistics, x, scale, bias, extents, epsilon, momentum, state, queue); };
  });
}

Kernel bind_batch_norm_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&]<typename T>(T) -> Kernel {
    return [dx = out<T>(args, 0), dscale = out<T>(args, 1), dbias = out<T>(args, 2), dy = in<T>(args, 0),
            x = in<T>(args, 1), scale = in<T>(args, 2), mean = in<float>(args, 3), rstd = in<float>(args, 4),
            extents = batch_norm_extents(args.in[1].shape),
            &queue = args.queue] { batch_norm_grad(dx, dscale, dbias, dy, x, scale, mean, rstd, extents, queue); };
  });
}

}  // namespace dml::cuda
