// What a node asks of its kernel, read from its operation, attributes and shapes: the part of binding that is the same
// for every device.
#pragma once

#include "kernels/attention.h"
#include "kernels/batch_norm.h"
#include "kernels/broadcast.h"
#include "kernels/conv.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/gather.h"
#include "kernels/matmul.h"
#include "kernels/move.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/unary.h"
#include "runtime/device/bind_args.h"

namespace dml {

BinaryOp binary_op(const BindArgs& args);
CompareOp compare_op(const BindArgs& args);
LogicalOp logical_op(const BindArgs& args);
UnaryOp unary_op(const BindArgs& args);
OutputGradOp output_grad_op(const BindArgs& args);
InputGradOp input_grad_op(const BindArgs& args);

/// All inputs broadcast to the output.
BroadcastPlan broadcast_plan(const BindArgs& args);

/// Of Clip and its gradient; an absent one is an infinity.
struct Bounds {
  float low, high;
};
Bounds bounds_of(const BindArgs& args);

/// The attribute `axis` (absent: the last) as a dim of `shape`.
int axis_of(const BindArgs& args, const Shape& shape);

/// A tensor around the dim of the attribute `axis`.
struct AroundDim {
  std::int64_t outer, n, inner;
};
AroundDim around_axis(const BindArgs& args, const Shape& shape);

/// A tensor as rows: the dims before and from the attribute `axis` on.
struct Rows {
  std::int64_t rows, n;
};
Rows rows_at_axis(const BindArgs& args, const Shape& shape);

/// Of ReduceSum and ReduceMean.
struct Reduction {
  ReducePlan plan;
  double factor = 1;
};
Reduction reduction_of(const BindArgs& args);

/// Logits as rows of classes.
struct LogitRows {
  std::int64_t rows, classes;
};
LogitRows logit_rows(const Shape& logits);

/// Of Dropout and its gradient; what the site says of step and samples is for the kernel to fill in. Throws
/// std::invalid_argument where the attribute `shard` does not fit.
struct DropoutArguments {
  std::int64_t samples = 1, elems = 1;
  DropoutSite site;
  DropoutShard shard;
};
DropoutArguments dropout_arguments(const BindArgs& args);

/// Queries [B, T, ...] against `keys` keys; C = `width`, and `mask` is the index of the optional input, an f32 tensor.
AttentionShape attention_shape(const BindArgs& args, const Shape& queries, std::int64_t keys, std::int64_t width,
                               std::size_t mask);

/// The operands of an attention or their gradients, wherever they lie.
template <typename T>
struct AttentionOperands {
  TokenRows<T> q, k, v;
};
/// Thirds of a tensor [B, T, 3C] with C = `width`.
template <typename T>
AttentionOperands<T> packed_operands(T* qkv, std::int64_t width) {
  return {{qkv, 3 * width}, {qkv + width, 3 * width}, {qkv + 2 * width, 3 * width}};
}

MatMulOptions matmul_options(const Attributes& attrs);
ConvOptions conv_options(const Attributes& attrs);

/// Of a pool from x to y; one spatial dim becomes the second of two.
PoolGeometry pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y);
/// Throws std::invalid_argument where there are dilations.
PoolGeometry average_pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y);

BatchNormExtents batch_norm_extents(const Shape& x);
GatherShape gather_shape(const Attributes& attrs, const Shape& table, const Shape& indices);
ShardedDim sharded_dim(const Attributes& attrs, const Shape& whole);

}  // namespace dml
