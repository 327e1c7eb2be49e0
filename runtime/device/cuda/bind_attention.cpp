// Binders of attention, with separate and with packed operands.
// B batch, T queries, S keys, H heads, D head width, C = H·D.
#include "kernels/attention.h"
#include "runtime/device/cuda/bind.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {
namespace {

/// The mask is an f32 tensor.
AttentionShape masked_shape(const BindArgs& args, const Shape& queries, std::int64_t keys, std::int64_t width,
                            std::size_t mask) {
  in<float>(args, mask);
  return attention_shape(args, queries, keys, width, mask);
}

template <typename T>
Kernel attention_of(const BindArgs& args, const AttentionOperands<const T>& x, const AttentionShape& shape) {
  return [x, o = out<T>(args, 0), lse = out<float>(args, 1), shape, &queue = args.queue] {
    attention(o, lse, x.q, x.k, x.v, shape, queue);
  };
}

/// `o` is the index of the input o, which lse follows.
template <typename T>
Kernel attention_grad_of(const BindArgs& args, const AttentionOperands<T>& d, const AttentionOperands<const T>& x,
                         std::size_t o, const AttentionShape& shape) {
  return [d, x, dout = in<T>(args, 0), o = in<T>(args, o), lse = in<float>(args, o + 1), shape, &queue = args.queue] {
    attention_grad(d.q, d.k, d.v, dout, x.q, x.k, x.v, o, lse, shape, queue);
  };
}

}  // namespace

Kernel bind_attention(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) {
    using T = decltype(stored);
    const Shape& q = args.in[0].shape;
    const std::int64_t width = q[2];
    return attention_of<T>(args, {{in<T>(args, 0), width}, {in<T>(args, 1), width}, {in<T>(args, 2), width}},
                           masked_shape(args, q, args.in[1].shape[1], width, 3));
  });
}

Kernel bind_attention_grad(const BindArgs& args) {
  return for_storage(args, args.in[1].dtype, [&](auto stored) {
    using T = decltype(stored);
    const Shape& q = args.in[1].shape;
    const std::int64_t width = q[2];
    return attention_grad_of<T>(args, {{out<T>(args, 0), width}, {out<T>(args, 1), width}, {out<T>(args, 2), width}},
                                {{in<T>(args, 1), width}, {in<T>(args, 2), width}, {in<T>(args, 3), width}}, 5,
                                masked_shape(args, q, args.in[2].shape[1], width, 4));
  });
}

Kernel bind_packed_attention(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) {
    using T = decltype(stored);
    const Shape& qkv = args.in[0].shape;
    const std::int64_t width = qkv[2] / 3;
    return attention_of<T>(args, packed_operands(in<T>(args, 0), width), masked_shape(args, qkv, qkv[1], width, 1));
  });
}

Kernel bind_packed_attention_grad(const BindArgs& args) {
  return for_storage(args, args.in[1].dtype, [&](auto stored) {
    using T = decltype(stored);
    const Shape& qkv = args.in[1].shape;
    const std::int64_t width = qkv[2] / 3;
    return attention_grad_of<T>(args, packed_operands(out<T>(args, 0), width), packed_operands(in<T>(args, 1), width),
                                3, masked_shape(args, qkv, qkv[1], width, 2));
  });
}

}  // namespace dml::cuda
