// Binders of Softmax and LayerNorm.
#include "kernels/layer_norm.h"
#include "kernels/softmax.h"
#include "models/op.h"
#include "runtime/device/cuda/bind.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {

Kernel bind_softmax(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [kernel = args.node.op->name == "Softmax" ? softmax<T> : log_softmax<T>, y = out<T>(args, 0),
            x = in<T>(args, 0), d = around_axis(args, args.in[0].shape),
            &queue = args.queue] { kernel(y, x, d.outer, d.n, d.inner, queue); };
  });
}

Kernel bind_softmax_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [kernel = args.node.op->name == "SoftmaxGrad" ? softmax_grad<T> : log_softmax_grad<T>, dx = out<T>(args, 0),
            dy = in<T>(args, 0), y = in<T>(args, 1), d = around_axis(args, args.in[0].shape),
            &queue = args.queue] { kernel(dx, dy, y, d.outer, d.n, d.inner, queue); };
  });
}

Kernel bind_layer_norm(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [y = out<T>(args, 0), mean = out<float>(args, 1), rstd = out<float>(args, 2), x = in<T>(args, 0),
            scale = in<T>(args, 1), bias = in<T>(args, 2), d = rows_at_axis(args, args.in[0].shape),
            epsilon = static_cast<float>(args.node.attrs.real("epsilon", 1e-5)),
            &queue = args.queue] { layer_norm(y, mean, rstd, x, scale, bias, d.rows, d.n, epsilon, queue); };
  });
}

Kernel bind_layer_norm_grad(const BindArgs& args) {
  return for_storage(args, args.in[1].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [dx = out<T>(args, 0), dy = in<T>(args, 0), x = in<T>(args, 1), scale = in<T>(args, 2),
            mean = in<float>(args, 3), rstd = in<float>(args, 4), d = rows_at_axis(args, args.in[1].shape),
            &queue = args.queue] { layer_norm_grad(dx, dy, x, scale, mean, rstd, d.rows, d.n, queue); };
  });
}

Kernel bind_layer_norm_param_grad(const BindArgs& args) {
  return for_storage(args, args.in[1].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [dscale = out<T>(args, 0), dbias = out<T>(args, 1), dy = in<T>(args, 0), x = in<T>(args, 1),
            mean = in<float>(args, 2), rstd = in<float>(args, 3), d = rows_at_axis(args, args.in[1].shape),
            &queue = args.queue] { layer_norm_param_grad(dscale, dbias, dy, x, mean, rstd, d.rows, d.n, queue); };
  });
}

}  // namespace dml::cuda
