// Binders of Softmax and LayerNorm.
#include "kernels/layer_norm.h"
#include "kernels/softmax.h"
#include "models/op.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {
Kernel bind_softmax(const BindArgs& args) {
  const auto kernel = args.node.op->name == "Softmax" ? cpu::softmax : cpu::log_softmax;
  const Shape& shape = args.in[0].shape;
  return [kernel, y = f32_out(args, 0), x = f32_in(args, 0), d = around_axis(args, shape)] {
    kernel(y, x, d.outer, d.n, d.inner);
  };
}

Kernel bind_softmax_grad(const BindArgs& args) {
  const auto kernel = args.node.op->name == "SoftmaxGrad" ? cpu::softmax_grad : cpu::log_softmax_grad;
  const Shape& shape = args.in[0].shape;
  return [kernel, dx = f32_out(args, 0), dy = f32_in(args, 0), y = f32_in(args, 1), d = around_axis(args, shape)] {
    kernel(dx, dy, y, d.outer, d.n, d.inner);
  };
}

Kernel bind_layer_norm(const BindArgs& args) {
  const Shape& shape = args.in[0].shape;
  return [y = f32_out(args, 0), mean = f32_out(args, 1), rstd = f32_out(args, 2), x = f32_in(args, 0),
          scale = f32_in(args, 1), bias = f32_in(args, 2), d = rows_at_axis(args, shape),
          epsilon = static_cast<float>(args.node.attrs.real("epsilon", 1e-5))] {
    cpu::layer_norm(y, mean, rstd, x, scale, bias, d.rows, d.n, epsilon);
  };
}

Kernel bind_layer_norm_grad(const BindArgs& args) {
  const Shape& shape = args.in[1].shape;
  return [dx = f32_out(args, 0), dy = f32_in(args, 0), x = f32_in(args, 1), scale = f32_in(args, 2),
          mean = f32_in(args, 3), rstd = f32_in(args, 4),
          d = rows_at_axis(args, shape)] { cpu::layer_norm_grad(dx, dy, x, scale, mean, rstd, d.rows, d.n); };
}

Kernel bind_layer_norm_param_grad(const BindArgs& args) {
  const Shape& shape = args.in[1].shape;
  return [dscale = f32_out(args, 0), dbias = f32_out(args, 1), dy = f32_in(args, 0), x = f32_in(args, 1),
          mean = f32_in(args, 2), rstd = f32_in(args, 3),
          d = rows_at_axis(args, shape)] { cpu::layer_norm_param_grad(dscale, dbias, dy, x, mean, rstd, d.rows, d.n); };
}

}  // namespace dml
