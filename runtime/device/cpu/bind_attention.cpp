// Binders of attention, with separate and with packed operands.
// B batch, T queries, S keys, H heads, D head width, C = H·D.
#include "kernels/attention.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {
namespace {

/// The mask is an f32 tensor.
AttentionShape masked_shape(const BindArgs& args, const Shape& queries, std::int64_t keys, std::int64_t width,
                            std::size_t mask) {
  f32_in(args, mask);
  return attention_shape(args, queries, keys, width, mask);
}

}  // namespace

Kernel bind_attention(const BindArgs& args) {
  const Shape& q = args.in[0].shape;
  const std::int64_t width = q[2];
  const AttentionOperands<const float> x{{f32_in(args, 0), width}, {f32_in(args, 1), width}, {f32_in(args, 2), width}};
  return
      [x, o = f32_out(args, 0), lse = f32_out(args, 1), shape = masked_shape(args, q, args.in[1].shape[1], width, 3)] {
        cpu::attention(o, lse, x.q, x.k, x.v, shape);
      };
}

Kernel bind_attention_grad(const BindArgs& args) {
  const Shape& q = args.in[1].shape;
  const std::int64_t width = q[2];
  const AttentionOperands<const float> x{{f32_in(args, 1), width}, {f32_in(args, 2), width}, {f32_in(args, 3), width}};
  const AttentionOperands<float> d{{f32_out(args, 0), width}, {f32_out(args, 1), width}, {f32_out(args, 2), width}};
  return [x, d, dout = f32_in(args, 0), o = f32_in(args, 5), lse = f32_in(args, 6),
          shape = masked_shape(args, q, args.in[2].shape[1], width, 4)] {
    cpu::attention_grad(d.q, d.k, d.v, dout, x.q, x.k, x.v, o, lse, shape);
  };
}

Kernel bind_packed_attention(const BindArgs& args) {
  const Shape& qkv = args.in[0].shape;
  const std::int64_t width = qkv[2] / 3;
  return [x = packed_operands(f32_in(args, 0), width), o = f32_out(args, 0), lse = f32_out(args, 1),
          shape = masked_shape(args, qkv, qkv[1], width, 1)] { cpu::attention(o, lse, x.q, x.k, x.v, shape); };
}

Kernel bind_packed_attention_grad(const BindArgs& args) {
  const Shape& qkv = args.in[1].shape;
  const std::int64_t width = qkv[2] / 3;
  return [x = packed_operands(f32_in(args, 1), width), d = packed_operands(f32_out(args, 0), width),
          dout = f32_in(args, 0), o = f32_in(args, 3), lse = f32_in(args, 4),
          shape = masked_shape(args, qkv, qkv[1], width, 2)] {
    cpu::attention_grad(d.q, d.k, d.v, dout, x.q, x.k, x.v, o, lse, shape);
  };
}

}  // namespace dml
