// Transpose and Expand. Where the innermost dim stays, rows are copied; where it moves, square blocks are turned, so
// that both sides are read and written by whole cache lines.
#include <algorithm>

#include "kernels/cpu/by_size.h"
#include "kernels/cpu/parallel.h"
#include "kernels/move.h"

namespace dml::cpu {
namespace {

constexpr std::int64_t kBlock = 16;

/// Offset in the operand of the index-th combination of all dims but `skip_a` and `skip_b`; `out` gets that in the
/// result.
struct Offsets {
  std::int64_t in = 0;
  std::int64_t out = 0;
};

Offsets offsets_of(const TransposePlan& plan, const std::array<std::int64_t, Shape::kMaxRank>& out_strides, int skip_a,
                   int skip_b, std::int64_t index) {
  Offsets offsets;
  for (int dim = plan.rank - 1; dim >= 0; --dim) {
    if (dim == skip_a || dim == skip_b) continue;
    const auto d = static_cast<std::size_t>(dim);
    const std::int64_t i = index % plan.extents[d];
    index /= plan.extents[d];
    offsets.in += i * plan.strides[d];
    offsets.out += i * out_strides[d];
  }
  return offsets;
}

/// y[c · y_step + r] = x[r · x_step + c] for r < rows, c < columns.
template <typename T>
void turn(T* y, const T* x, std::int64_t rows, std::int64_t columns, std::int64_t y_step, std::int64_t x_step) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) y[c * y_step + r] = x[r * x_step + c];
  }
}

/// The result's innermost dim is `last`; the operand's is `moved`, elsewhere in the result.
template <typename T>
void transpose_blocks(T* y, const T* x, const TransposePlan& plan,
                      const std::array<std::int64_t, Shape::kMaxRank>& out_strides, int moved) {
  const int last = plan.rank - 1;
  const std::int64_t rows = plan.extents[static_cast<std::size_t>(last)];
  const std::int64_t columns = plan.extents[static_cast<std::size_t>(moved)];
  const std::int64_t x_step = plan.strides[static_cast<std::size_t>(last)];
  const std::int64_t y_step = out_strides[static_cast<std::size_t>(moved)];
  std::int64_t batches = 1;
  for (int dim = 0; dim < last; ++dim) batches *= dim == moved ? 1 : plan.extents[static_cast<std::size_t>(dim)];
  const std::int64_t strips = (columns + kBlock - 1) / kBlock;
  parallel_for(batches * strips, rows * kBlock, [&](std::int64_t item) {
    const Offsets offsets = offsets_of(plan, out_strides, last, moved, item / strips);
    const std::int64_t c = item % strips * kBlock;
    const std::int64_t width = std::min(kBlock, columns - c);
    for (std::int64_t r = 0; r < rows; r += kBlock) {
      const std::int64_t height = std::min(kBlock, rows - r);
      turn(y + offsets.out + c * y_step + r, x + offsets.in + r * x_step + c, height, width, y_step, x_step);
    }
  });
}

template <typename T>
void transpose_rows(T* y, const T* x, const TransposePlan& plan,
                    const std::array<std::int64_t, Shape::kMaxRank>& out_strides) {
  const int last = plan.rank - 1;
  const std::int64_t n = plan.extents[static_cast<std::size_t>(last)];
  std::int64_t rows = 1;
  for (int dim = 0; dim < last; ++dim) rows *= plan.extents[static_cast<std::size_t>(dim)];
  parallel_for(rows, n, [&](std::int64_t row) {
    const Offsets offsets = offsets_of(plan, out_strides, last, last, row);
    std::copy_n(x + offsets.in, n, y + offsets.out);
  });
}

template <typename T>
void transpose_of(T* y, const T* x, const TransposePlan& plan) {
  if (plan.rank == 0) {
    *y = *x;
    return;
  }
  std::array<std::int64_t, Shape::kMaxRank> out_strides{};
  std::int64_t elems = 1;
  int moved = 0;
  for (int dim = plan.rank - 1; dim >= 0; --dim) {
    const auto d = static_cast<std::size_t>(dim);
    out_strides[d] = elems;
    elems *= plan.extents[d];
    if (plan.strides[d] == 1) moved = dim;
  }
  if (elems == 0) return;
  if (moved == plan.rank - 1) {
    transpose_rows(y, x, plan, out_strides);
  } else {
    transpose_blocks(y, x, plan, out_strides, moved);
  }
}

template <typename T>
void expand_of(T* y, const T* x, const BroadcastPlan& plan) {
  const auto last = static_cast<std::size_t>(plan.rank - 1);
  const std::int64_t n = plan.extents[last];
  std::int64_t rows = 1;
  for (std::size_t dim = 0; dim < last; ++dim) rows *= plan.extents[dim];
  if (n == 0) return;
  parallel_for(rows, n, [&](std::int64_t row) {
    std::int64_t offset = 0;
    std::int64_t rest = row;
    for (std::size_t dim = last; dim-- > 0; rest /= plan.extents[dim]) {
      offset += rest % plan.extents[dim] * plan.strides[0][dim];
    }
    if (plan.strides[0][last] == 0) {
      std::fill_n(y + row * n, n, x[offset]);
    } else {
      std::copy_n(x + offset, n, y + row * n);
    }
  });
}

}  // namespace

void transpose(void* y, const void* x, const TransposePlan& plan, std::size_t elem_size) {
  by_size(elem_size, [&]<typename T>(T) { transpose_of(static_cast<T*>(y), static_cast<const T*>(x), plan); });
}

void expand(void* y, const void* x, const BroadcastPlan& plan, std::size_t elem_size) {
  by_size(elem_size, [&]<typename T>(T) { expand_of(static_cast<T*>(y), static_cast<const T*>(x), plan); });
}

}  // namespace dml::cpu
