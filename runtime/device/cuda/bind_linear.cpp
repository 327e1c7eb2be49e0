// Binders of matrix products and convolutions.
#include "models/op.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {
Kernel bind_matmul(const BindArgs& args) {
  return prepare_matmul(args.out[0], args.in[0], args.in[1], optional_input(args, 2), matmul_options(args.node.attrs),
                        args.queue);
}

Kernel bind_linear_param_grad(const BindArgs& args) {
  return prepare_linear_param_grad(args.out[0], args.out[1], args.in[0], args.in[1], matmul_options(args.node.attrs),
                                   args.queue);
}

Kernel bind_linear_gelu(const BindArgs& args) {
  return prepare_linear_gelu(args.out[0], args.out[1], args.in[0], args.in[1], args.in[2],
                             matmul_options(args.node.attrs), args.queue);
}

Kernel bind_linear_gelu_grad(const BindArgs& args) {
  return prepare_linear_gelu_grad(args.out[0], args.in[0], args.in[1], args.in[2], matmul_options(args.node.attrs),
                                  args.queue);
}

Kernel bind_conv(const BindArgs& args) {
  return prepare_conv(args.out[0], args.in[0], args.in[1], optional_input(args, 2), conv_options(args.node.attrs),
                      args.queue);
}

Kernel bind_conv_input_grad(const BindArgs& args) {
  return prepare_conv_input_grad(args.out[0], args.in[0], args.in[1], conv_options(args.node.attrs), args.queue);
}

Kernel bind_conv_weight_grad(const BindArgs& args) {
  return prepare_conv_weight_grad(args.out[0], args.in[0], args.in[1], conv_options(args.node.attrs), args.queue);
}

}  // namespace dml::cuda
