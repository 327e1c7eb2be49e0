// Slice, Concat, Split and shards as copies of contiguous pieces, for any device: `copy_pieces` is called with (to,
// from, pieces, elem_size), as that of kernels/move.h.
#pragma once

#include <cstddef>

#include "kernels/move.h"

namespace dml::pieces {

inline std::byte* at(void* data, std::int64_t elem, std::size_t elem_size) {
  return static_cast<std::byte*>(data) + elem * static_cast<std::int64_t>(elem_size);
}

inline const std::byte* at(const void* data, std::int64_t elem, std::size_t elem_size) {
  return static_cast<const std::byte*>(data) + elem * static_cast<std::int64_t>(elem_size);
}

inline const std::byte* at(const TensorView& x, std::int64_t elem) {
  return at(static_cast<const void*>(x.data), elem, size_of(x.dtype));
}

/// y = the rows of dim `axis` from `start` on, as many as y has.
template <typename Copy>
void slice(const TensorView& y, const TensorView& x, int axis, std::int64_t start, const Copy& copy_pieces) {
  const std::int64_t after = x.shape.product(axis + 1, x.shape.rank());
  copy_pieces(y.data, at(x, start * after), pieces_of(x.shape, axis, y.shape[axis]), size_of(x.dtype));
}

template <typename Copy>
void concat(const TensorView& y, std::span<const TensorView> xs, int axis, const Copy& copy_pieces) {
  const std::size_t size = size_of(y.dtype);
  const std::int64_t after = y.shape.product(axis + 1, y.shape.rank());
  std::int64_t first = 0;
  for (const TensorView& x : xs) {
    const Pieces part = pieces_of(y.shape, axis, x.shape[axis]);
    copy_pieces(at(y.data, first * after, size), x.data,
                Pieces{part.count, part.elems, part.to_stride, part.from_stride}, size);
    first += x.shape[axis];
  }
}

template <typename Copy>
void split(std::span<const TensorView> ys, const TensorView& x, int axis, const Copy& copy_pieces) {
  const std::int64_t after = x.shape.product(axis + 1, x.shape.rank());
  std::int64_t first = 0;
  for (const TensorView& y : ys) {
    copy_pieces(y.data, at(x, first * after), pieces_of(x.shape, axis, y.shape[axis]), size_of(x.dtype));
    first += y.shape[axis];
  }
}

/// Elements of a unit of a sharded dim of `shape`.
inline std::int64_t sharded_inner(const Shape& shape, const ShardedDim& sharded) {
  return sharded.inner * shape.product(sharded.dim + 1, shape.rank());
}

template <typename Copy>
void shard_slice(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t begin,
                 std::int64_t end, const Copy& copy_pieces) {
  const std::int64_t inner = sharded_inner(x.shape, sharded);
  const std::int64_t blocks = x.shape.product(0, sharded.dim) * sharded.outer;
  const std::int64_t kept = (end - begin) * inner;
  copy_pieces(y.data, at(x, begin * inner), Pieces{blocks, kept, sharded.units * inner, kept}, size_of(x.dtype));
}

template <typename Copy>
void shard_merge(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t parts,
                 const Copy& copy_pieces) {
  const std::size_t size = size_of(y.dtype);
  const std::int64_t inner = sharded_inner(y.shape, sharded);
  const std::int64_t blocks = y.shape.product(0, sharded.dim) * sharded.outer;
  std::int64_t from = 0;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t kept = part_size(sharded.units, parts, part) * inner;
    copy_pieces(at(y.data, part_begin(sharded.units, parts, part) * inner, size), at(x, from),
                Pieces{blocks, kept, kept, sharded.units * inner}, size);
    from += blocks * kept;
  }
}

}  // namespace dml::pieces
