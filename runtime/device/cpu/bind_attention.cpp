// Binders of attention, with separate and with packed operands.
// B batch, T queries, S keys, H heads, D head width, C = H·D.
#include <cmath>

#include "kernels/attention.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"

namespace dml {
namespace {

/// `width` is C; `mask` the index of the optional input.
AttentionShape attention_shape(const BindArgs& args, const Shape& queries, std::int64_t keys, std::int64_t width,
                               std::size_t mask) {
  const Attributes& attrs = args.node.attrs;
  AttentionShape shape;
  shape.batch = queries[0];
  shape.heads = attrs.integer("heads");
  shape.queries = queries[1];
  shape.keys = keys;
  shape.width = width / shape.heads;
  shape.scale = static_cast<float>(attrs.real("scale", 1.0 / std::sqrt(static_cast<double>(shape.width))));
  shape.causal = attrs.integer("causal") != 0;
  shape.mask = f32_in(args, mask);
  if (shape.mask != nullptr) {
    const auto dense = strides_of(args.in[mask].shape);
    for (std::size_t dim = 0; dim < 4; ++dim) {
      shape.mask_strides[dim] = args.in[mask].shape[static_cast<int>(dim)] == 1 ? 0 : dense[dim];
    }
  }
  return shape;
}

/// The operands of the attention and their gradients, wherever they lie.
template <typename T>
struct Operands {
  TokenRows<T> q, k, v;
};

template <typename T>
Operands<T> packed(T* qkv, std::int64_t width) {
  return {{qkv, 3 * width}, {qkv + width, 3 * width}, {qkv + 2 * width, 3 * width}};
}

}  // namespace

Kernel bind_attention(const BindArgs& args) {
  const Shape& q = args.in[0].shape;
  const std::int64_t width = q[2];
  const Operands<const float> x{{f32_in(args, 0), width}, {f32_in(args, 1), width}, {f32_in(args, 2), width}};
  return [x, o = f32_out(args, 0), lse = f32_out(args, 1),
          shape = attention_shape(args, q, args.in[1].shape[1], width, 3)] {
    cpu::attention(o, lse, x.q, x.k, x.v, shape);
  };
}

Kernel bind_attention_grad(const BindArgs& args) {
  const Shape& q = args.in[1].shape;
  const std::int64_t width = q[2];
  const Operands<const float> x{{f32_in(args, 1), width}, {f32_in(args, 2), width}, {f32_in(args, 3), width}};
  const Operands<float> d{{f32_out(args, 0), width}, {f32_out(args, 1), width}, {f32_out(args, 2), width}};
  return [x, d, dout = f32_in(args, 0), o = f32_in(args, 5), lse = f32_in(args, 6),
          shape = attention_shape(args, q, args.in[2].shape[1], width, 4)] {
    cpu::attention_grad(d.q, d.k, d.v, dout, x.q, x.k, x.v, o, lse, shape);
  };
}

Kernel bind_packed_attention(const BindArgs& args) {
  const Shape& qkv = args.in[0].shape;
  const std::int64_t width = qkv[2] / 3;
  return [x = packed(f32_in(args, 0), width), o = f32_out(args, 0), lse = f32_out(args, 1),
          shape = attention_shape(args, qkv, qkv[1], width, 1)] { cpu::attention(o, lse, x.q, x.k, x.v, shape); };
}

Kernel bind_packed_attention_grad(const BindArgs& args) {
  const Shape& qkv = args.in[1].shape;
  const std::int64_t width = qkv[2] / 3;
  return [x = packed(f32_in(args, 1), width), d = packed(f32_out(args, 0), width), dout = f32_in(args, 0),
          o = f32_in(args, 3), lse = f32_in(args, 4), shape = attention_shape(args, qkv, qkv[1], width, 2)] {
    cpu::attention_grad(d.q, d.k, d.v, dout, x.q, x.k, x.v, o, lse, shape);
  };
}

}  // namespace dml
