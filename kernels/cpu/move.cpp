// Copies are memcpy of contiguous pieces where those are long, and loops over elements of one size otherwise.
#include "kernels/move.h"

#include <cstddef>
#include <cstring>

#include "kernels/cpu/by_size.h"
#include "kernels/cpu/parallel.h"

namespace dml::cpu {
namespace {

std::byte* at(void* data, std::int64_t elem, std::size_t elem_size) {
  return static_cast<std::byte*>(data) + elem * static_cast<std::int64_t>(elem_size);
}

const std::byte* at(const void* data, std::int64_t elem, std::size_t elem_size) {
  return static_cast<const std::byte*>(data) + elem * static_cast<std::int64_t>(elem_size);
}

std::int64_t sharded_inner(const Shape& shape, const ShardedDim& sharded) {
  return sharded.inner * shape.product(sharded.dim + 1, shape.rank());
}

/// Rows of `after` elements: `n` of each outer index, to and from dims of other extents and steps.
struct Rows {
  std::int64_t outer, n, after;
  std::int64_t to_extent, to_first, to_step;
  std::int64_t from_extent, from_first, from_step;
};

template <typename T>
void copy_rows(T* to, const T* from, const Rows& rows) {
  parallel_for(rows.outer, rows.n * rows.after, [&](std::int64_t outer) {
    for (std::int64_t i = 0; i < rows.n; ++i) {
      T* out = to + (outer * rows.to_extent + rows.to_first + i * rows.to_step) * rows.after;
      const T* in = from + (outer * rows.from_extent + rows.from_first + i * rows.from_step) * rows.after;
      for (std::int64_t j = 0; j < rows.after; ++j) out[j] = in[j];
    }
  });
}

void copy_rows(const TensorView& to, const TensorView& from, const Rows& rows) {
  by_size(size_of(to.dtype), [&]<typename T>(T) { copy_rows(to.as<T>(), from.as<const T>(), rows); });
}

}  // namespace

void copy(const TensorView& y, const TensorView& x) {
  const auto bytes = static_cast<std::int64_t>(y.num_bytes());
  parallel_chunks(bytes, 1, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(at(y.data, begin, 1), at(static_cast<const void*>(x.data), begin, 1),
                static_cast<std::size_t>(end - begin));
  });
}

void zero(const TensorView& y) {
  const auto bytes = static_cast<std::int64_t>(y.num_bytes());
  parallel_chunks(bytes, 1, [&](std::int64_t begin, std::int64_t end) {
    std::memset(at(y.data, begin, 1), 0, static_cast<std::size_t>(end - begin));
  });
}

void copy_pieces(void* to, const void* from, const Pieces& pieces, std::size_t elem_size) {
  if (pieces.elems == 0) return;
  parallel_for(pieces.count, pieces.elems, [&](std::int64_t i) {
    std::memcpy(at(to, i * pieces.to_stride, elem_size), at(from, i * pieces.from_stride, elem_size),
                static_cast<std::size_t>(pieces.elems) * elem_size);
  });
}

void slice(const TensorView& y, const TensorView& x, int axis, std::int64_t start, std::int64_t step) {
  const std::int64_t after = x.shape.product(axis + 1, x.shape.rank());
  if (step == 1) {
    const Pieces pieces = pieces_of(x.shape, axis, y.shape[axis]);
    copy_pieces(y.data, at(static_cast<const void*>(x.data), start * after, size_of(x.dtype)), pieces,
                size_of(x.dtype));
    return;
  }
  copy_rows(y, x, {x.shape.product(0, axis), y.shape[axis], after, y.shape[axis], 0, 1, x.shape[axis], start, step});
}

void slice_grad(const TensorView& dx, const TensorView& dy, int axis, std::int64_t start, std::int64_t step) {
  zero(dx);
  const std::int64_t after = dx.shape.product(axis + 1, dx.shape.rank());
  copy_rows(dx, dy,
            {dx.shape.product(0, axis), dy.shape[axis], after, dx.shape[axis], start, step, dy.shape[axis], 0, 1});
}

void concat(const TensorView& y, std::span<const TensorView> xs, int axis) {
  const std::size_t size = size_of(y.dtype);
  const std::int64_t after = y.shape.product(axis + 1, y.shape.rank());
  std::int64_t first = 0;
  for (const TensorView& x : xs) {
    const Pieces part = pieces_of(y.shape, axis, x.shape[axis]);
    copy_pieces(at(y.data, first * after, size), x.data, {part.count, part.elems, part.to_stride, part.from_stride},
                size);
    first += x.shape[axis];
  }
}

void split(std::span<const TensorView> ys, const TensorView& x, int axis) {
  const std::size_t size = size_of(x.dtype);
  const std::int64_t after = x.shape.product(axis + 1, x.shape.rank());
  std::int64_t first = 0;
  for (const TensorView& y : ys) {
    copy_pieces(y.data, at(static_cast<const void*>(x.data), first * after, size),
                pieces_of(x.shape, axis, y.shape[axis]), size);
    first += y.shape[axis];
  }
}

void shard_slice(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t begin,
                 std::int64_t end) {
  const std::int64_t inner = sharded_inner(x.shape, sharded);
  const std::int64_t blocks = x.shape.product(0, sharded.dim) * sharded.outer;
  const std::int64_t kept = (end - begin) * inner;
  copy_pieces(y.data, at(static_cast<const void*>(x.data), begin * inner, size_of(x.dtype)),
              {blocks, kept, sharded.units * inner, kept}, size_of(x.dtype));
}

void shard_merge(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t parts) {
  const std::size_t size = size_of(y.dtype);
  const std::int64_t inner = sharded_inner(y.shape, sharded);
  const std::int64_t blocks = y.shape.product(0, sharded.dim) * sharded.outer;
  std::int64_t from = 0;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t kept = part_size(sharded.units, parts, part) * inner;
    copy_pieces(at(y.data, part_begin(sharded.units, parts, part) * inner, size),
                at(static_cast<const void*>(x.data), from, size), {blocks, kept, kept, sharded.units * inner}, size);
    from += blocks * kept;
  }
}

}  // namespace dml::cpu
