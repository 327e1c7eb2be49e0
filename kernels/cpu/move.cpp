// Copies are memcpy of contiguous pieces where those are long, and loops over elements of one size otherwise.
#include "kernels/move.h"

#include <cstddef>
#include <cstring>

#include "kernels/cpu/by_size.h"
#include "kernels/cpu/parallel.h"
#include "kernels/move_pieces.h"

namespace dml::cpu {
namespace {

using pieces::at;

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
  if (step == 1) {
    pieces::slice(y, x, axis, start, copy_pieces);
    return;
  }
  const std::int64_t after = x.shape.product(axis + 1, x.shape.rank());
  copy_rows(y, x, {x.shape.product(0, axis), y.shape[axis], after, y.shape[axis], 0, 1, x.shape[axis], start, step});
}

void slice_grad(const TensorView& dx, const TensorView& dy, int axis, std::int64_t start, std::int64_t step) {
  zero(dx);
  const std::int64_t after = dx.shape.product(axis + 1, dx.shape.rank());
  copy_rows(dx, dy,
            {dx.shape.product(0, axis), dy.shape[axis], after, dx.shape[axis], start, step, dy.shape[axis], 0, 1});
}

void concat(const TensorView& y, std::span<const TensorView> xs, int axis) { pieces::concat(y, xs, axis, copy_pieces); }

void split(std::span<const TensorView> ys, const TensorView& x, int axis) { pieces::split(ys, x, axis, copy_pieces); }

void shard_slice(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t begin,
                 std::int64_t end) {
  pieces::shard_slice(y, x, sharded, begin, end, copy_pieces);
}

void shard_merge(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t parts) {
  pieces::shard_merge(y, x, sharded, parts, copy_pieces);
}

}  // namespace dml::cpu
