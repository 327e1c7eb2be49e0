// Binders of matrix products, convolutions, pools and batch normalization.
#include <algorithm>

#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {
namespace {

/// Throws ModelError unless all operands that are there are f32.
void require_f32(const BindArgs& args) {
  for (const auto& views : {args.in, args.out}) {
    for (const TensorView& view : views) {
      if (view) require_type(args, view, DataType::f32);
    }
  }
}

}  // namespace

Kernel bind_matmul(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_matmul(args.out[0], args.in[0], args.in[1], optional_input(args, 2),
                             matmul_options(args.node.attrs));
}

Kernel bind_linear_param_grad(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_linear_param_grad(args.out[0], args.out[1], args.in[0], args.in[1],
                                        matmul_options(args.node.attrs));
}

Kernel bind_linear_gelu(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_linear_gelu(args.out[0], args.out[1], args.in[0], args.in[1], args.in[2],
                                  matmul_options(args.node.attrs));
}

Kernel bind_linear_gelu_grad(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_linear_gelu_grad(args.out[0], args.in[0], args.in[1], args.in[2],
                                       matmul_options(args.node.attrs));
}

Kernel bind_conv(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_conv(args.out[0], args.in[0], args.in[1], optional_input(args, 2), conv_options(args.node.attrs));
}

Kernel bind_conv_input_grad(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_conv_input_grad(args.out[0], args.in[0], args.in[1], conv_options(args.node.attrs));
}

Kernel bind_conv_weight_grad(const BindArgs& args) {
  require_f32(args);
  return cpu::prepare_conv_weight_grad(args.out[0], args.in[0], args.in[1], conv_options(args.node.attrs));
}

Kernel bind_max_pool(const BindArgs& args) {
  require_type(args, args.out[1], DataType::i32);
  return [geometry = pool_geometry(args.node.attrs, args.in[0].shape, args.out[0].shape), y = f32_out(args, 0),
          where = args.out[1].as<std::int32_t>(), x = f32_in(args, 0)] { cpu::max_pool(y, where, x, geometry); };
}

Kernel bind_max_pool_grad(const BindArgs& args) {
  require_type(args, args.in[1], DataType::i32);
  return [geometry = pool_geometry(args.node.attrs, args.out[0].shape, args.in[0].shape), dx = f32_out(args, 0),
          dy = f32_in(args, 0), where = args.in[1].as<std::int32_t>()] { cpu::max_pool_grad(dx, dy, where, geometry); };
}

Kernel bind_average_pool(const BindArgs& args) {
  return [geometry = average_pool_geometry(args.node.attrs, args.in[0].shape, args.out[0].shape), y = f32_out(args, 0),
          x = f32_in(args, 0)] { cpu::average_pool(y, x, geometry); };
}

Kernel bind_average_pool_grad(const BindArgs& args) {
  return [geometry = average_pool_geometry(args.node.attrs, args.out[0].shape, args.in[0].shape), dx = f32_out(args, 0),
          dy = f32_in(args, 0)] { cpu::average_pool_grad(dx, dy, geometry); };
}

Kernel bind_batch_norm(const BindArgs& args) {
  const BatchNormStatistics statistics{.saved_mean = f32_out(args, 1),
                                       .saved_rstd = f32_out(args, 2),
                                       .next_mean = f32_out(args, 3),
                                       .next_var = f32_out(args, 4),
                                       .mean = f32_in(args, 3),
                                       .var = f32_in(args, 4)};
  return [statistics, y = f32_out(args, 0), x = f32_in(args, 0), scale = f32_in(args, 1), bias = f32_in(args, 2),
          extents = batch_norm_extents(args.in[0].shape),
          epsilon = static_cast<float>(args.node.attrs.real("epsilon", 1e-5)),
          momentum = static_cast<float>(args.node.attrs.real("momentum", 0.9)), context = &args.context] {
    if (context->state->trains) {
      cpu::batch_norm(y, statistics, x, scale, bias, extents, epsilon, momentum);
      return;
    }
    cpu::batch_norm_inference(y, x, scale, bias, statistics.mean, statistics.var, extents, epsilon);
    if (statistics.next_mean == statistics.mean) return;
    std::copy_n(statistics.mean, extents.channels, statistics.next_mean);
    std::copy_n(statistics.var, extents.channels, statistics.next_var);
  };
}

Kernel bind_batch_norm_grad(const BindArgs& args) {
  return [dx = f32_out(args, 0), dscale = f32_out(args, 1), dbias = f32_out(args, 2), dy = f32_in(args, 0),
          x = f32_in(args, 1), scale = f32_in(args, 2), mean = f32_in(args, 3), rstd = f32_in(args, 4),
          extents = batch_norm_extents(args.in[1].shape)] {
    cpu::batch_norm_grad(dx, dscale, dbias, dy, x, scale, mean, rstd, extents);
  };
}

}  // namespace dml
