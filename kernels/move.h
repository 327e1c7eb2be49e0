// Elements that only change their place, of any data type: they are told apart by their size in bytes alone (1, 2, 4
// or 8). Results never overlap operands.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/broadcast.h"
#include "kernels/tensor.h"

namespace dml {

/// Contiguous pieces between two tensors: piece i of `count` has `elems` elements and lies at i·stride of its tensor.
struct Pieces {
  std::int64_t count = 0;
  std::int64_t elems = 0;
  std::int64_t from_stride = 0;
  std::int64_t to_stride = 0;
};

/// Part [begin, begin + extent) of dim `dim` of `whole`, as pieces of the whole (stride of the whole in from_stride)
/// and of a tensor of that part alone (to_stride); the first piece lies at begin · product of the dims after `dim`.
Pieces pieces_of(const Shape& whole, int dim, std::int64_t extent);

/// How a dim of extent outer·units·inner is sharded: of each of the `outer` blocks a shard keeps the units [begin, end)
/// of `inner` elements.
struct ShardedDim {
  int dim = 0;
  std::int64_t outer = 1;
  std::int64_t units = 1;
  std::int64_t inner = 1;
};

/// Reorders dims: extents of the result, and the operand's stride for each; neighbours that stay together are one dim.
struct TransposePlan {
  int rank = 0;
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  std::array<std::int64_t, Shape::kMaxRank> strides{};
};
/// The plan of y[i...] = x with y's dim d being x's dim perm[d]. Throws std::invalid_argument where perm is no
/// permutation.
TransposePlan plan_transpose(const Shape& x, std::span<const std::int64_t> perm);

}  // namespace dml

namespace dml::cpu {

/// Equal numbers of bytes.
void copy(const TensorView& y, const TensorView& x);
void zero(const TensorView& y);
/// to[i·to_stride ..] = from[i·from_stride ..] for each piece; the strides and sizes in elements of `elem_size` bytes.
void copy_pieces(void* to, const void* from, const Pieces& pieces, std::size_t elem_size);

void transpose(void* y, const void* x, const TransposePlan& plan, std::size_t elem_size);
/// y = x broadcast; operand 0 of the plan is x.
void expand(void* y, const void* x, const BroadcastPlan& plan, std::size_t elem_size);

/// y = rows start, start + step, ... of dim `axis`, as many as y has.
void slice(const TensorView& y, const TensorView& x, int axis, std::int64_t start, std::int64_t step);
/// dx = dy in the places that `slice` took, 0 elsewhere.
void slice_grad(const TensorView& dx, const TensorView& dy, int axis, std::int64_t start, std::int64_t step);
/// y = the operands one after the other along `axis`.
void concat(const TensorView& y, std::span<const TensorView> xs, int axis);
void split(std::span<const TensorView> ys, const TensorView& x, int axis);

/// y = the units [begin, end) of each block of x.
void shard_slice(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t begin,
                 std::int64_t end);
/// The inverse for all shards, which lie in `x` one after the other: shard i of `parts` holds the units
/// [part_begin(units, parts, i), part_begin(units, parts, i + 1)).
void shard_merge(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t parts);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// The same on a queue. The views are of device memory; those in spans are read before the call returns.
void copy(const TensorView& y, const TensorView& x, const Queue& queue);
void zero(const TensorView& y, const Queue& queue);
void copy_pieces(void* to, const void* from, const Pieces& pieces, std::size_t elem_size, const Queue& queue);
void transpose(void* y, const void* x, const TransposePlan& plan, std::size_t elem_size, const Queue& queue);
void expand(void* y, const void* x, const BroadcastPlan& plan, std::size_t elem_size, const Queue& queue);
void slice(const TensorView& y, const TensorView& x, int axis, std::int64_t start, std::int64_t step,
           const Queue& queue);
void slice_grad(const TensorView& dx, const TensorView& dy, int axis, std::int64_t start, std::int64_t step,
                const Queue& queue);
void concat(const TensorView& y, std::span<const TensorView> xs, int axis, const Queue& queue);
void split(std::span<const TensorView> ys, const TensorView& x, int axis, const Queue& queue);
void shard_slice(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t begin,
                 std::int64_t end, const Queue& queue);
void shard_merge(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t parts,
                 const Queue& queue);

}  // namespace dml::cuda
