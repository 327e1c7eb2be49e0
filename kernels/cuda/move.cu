// Contiguous memory is copied by the runtime, pieces and strides by one kernel; only where the innermost dim moves,
// tiles are turned in shared memory, so that both sides are read and written by whole lines.
#include "kernels/move.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/strided_copy.h"
#include "kernels/move_pieces.h"

namespace dml::cuda {
namespace turning {

inline constexpr int kTile = 32;
inline constexpr int kRows = 8;  ///< of a tile that a block moves at a time

/// Batches of matrices x[rows, columns] → y[columns, rows], with the steps of their rows; `batch` leads to one of them.
struct Matrices {
  std::int64_t rows, columns;
  std::int64_t x_step, y_step;
  std::int64_t row_tiles, column_tiles;
  StridedCopy batch;  ///< to_strides of y, from_strides of x
};

template <typename Word>
__global__ void __launch_bounds__(kTile* kRows) turn(Word* y, const Word* x, Matrices m) {
  __shared__ Word tile[kTile][kTile + 1];
  std::int64_t rest = blockIdx.x;
  const std::int64_t first_row = rest % m.row_tiles * kTile;
  rest /= m.row_tiles;
  const std::int64_t first_column = rest % m.column_tiles * kTile;
  rest /= m.column_tiles;
  for (int dim = m.batch.rank - 1; dim >= 0; --dim) {
    const std::int64_t i = rest % m.batch.extents[dim];
    rest /= m.batch.extents[dim];
    y += i * m.batch.to_strides[dim];
    x += i * m.batch.from_strides[dim];
  }
  for (int k = threadIdx.y; k < kTile; k += kRows) {
    const std::int64_t row = first_row + k;
    const std::int64_t column = first_column + threadIdx.x;
    if (row < m.rows && column < m.columns) tile[k][threadIdx.x] = x[row * m.x_step + column];
  }
  __syncthreads();
  for (int k = threadIdx.y; k < kTile; k += kRows) {
    const std::int64_t row = first_row + threadIdx.x;
    const std::int64_t column = first_column + k;
    if (row < m.rows && column < m.columns) y[column * m.y_step + row] = tile[threadIdx.x][k];
  }
}

template <typename Word>
void launch_turn(void* y, const void* x, const Matrices& matrices, const Queue& queue) {
  const std::int64_t tiles = matrices.row_tiles * matrices.column_tiles * matrices.batch.num_elements();
  launch<turn<Word>>(static_cast<unsigned>(tiles), dim3(kTile, kRows), 0, queue, static_cast<Word*>(y),
                     static_cast<const Word*>(x), matrices);
}

/// Where the operand's innermost dim is not the result's: that of the result are the rows, the operand's the columns.
Matrices matrices_of(const StridedCopy& plan, std::size_t moved) {
  const auto last = static_cast<std::size_t>(plan.rank - 1);
  Matrices matrices{.rows = plan.extents[last],
                    .columns = plan.extents[moved],
                    .x_step = plan.from_strides[last],
                    .y_step = plan.to_strides[moved],
                    .row_tiles = blocks_of(plan.extents[last], kTile),
                    .column_tiles = blocks_of(plan.extents[moved], kTile),
                    .batch = {}};
  for (std::size_t dim = 0; dim < last; ++dim) {
    if (dim != moved) matrices.batch.push_back(plan.extents[dim], plan.to_strides[dim], plan.from_strides[dim]);
  }
  return matrices;
}

/// With dense y.
StridedCopy walk_of(const TransposePlan& plan) {
  StridedCopy walk;
  std::int64_t stride = 1;
  walk.rank = plan.rank;
  for (auto dim = static_cast<std::size_t>(plan.rank); dim-- > 0;) {
    walk.extents[dim] = plan.extents[dim];
    walk.from_strides[dim] = plan.strides[dim];
    walk.to_strides[dim] = stride;
    stride *= plan.extents[dim];
  }
  return walk;
}

}  // namespace turning

void copy(const TensorView& y, const TensorView& x, const Queue& queue) {
  if (y.num_bytes() == 0) return;
  DML_CUDA(cudaMemcpyAsync(y.data, x.data, y.num_bytes(), cudaMemcpyDeviceToDevice, queue.stream));
}

void zero(const TensorView& y, const Queue& queue) {
  if (y.num_bytes() == 0) return;
  DML_CUDA(cudaMemsetAsync(y.data, 0, y.num_bytes(), queue.stream));
}

void copy_pieces(void* to, const void* from, const Pieces& pieces, std::size_t elem_size, const Queue& queue) {
  StridedCopy plan;
  plan.push_back(pieces.count, pieces.to_stride, pieces.from_stride);
  plan.push_back(pieces.elems, 1, 1);
  copy_strided(to, from, plan, elem_size, queue);
}

void transpose(void* y, const void* x, const TransposePlan& plan, std::size_t elem_size, const Queue& queue) {
  const StridedCopy walk = turning::walk_of(plan);
  if (walk.num_elements() == 0) return;
  std::size_t moved = 0;
  while (moved + 1 < static_cast<std::size_t>(plan.rank) && plan.strides[moved] != 1) ++moved;
  if (moved + 1 >= static_cast<std::size_t>(plan.rank)) return copy_strided(y, x, walk, elem_size, queue);
  const turning::Matrices matrices = turning::matrices_of(walk, moved);
  switch (elem_size) {
    case 1: return turning::launch_turn<std::uint8_t>(y, x, matrices, queue);
    case 2: return turning::launch_turn<std::uint16_t>(y, x, matrices, queue);
    case 4: return turning::launch_turn<std::uint32_t>(y, x, matrices, queue);
    default: return turning::launch_turn<std::uint64_t>(y, x, matrices, queue);
  }
}

void expand(void* y, const void* x, const BroadcastPlan& plan, std::size_t elem_size, const Queue& queue) {
  TransposePlan walk{plan.rank, plan.extents, plan.strides[0]};
  copy_strided(y, x, turning::walk_of(walk), elem_size, queue);
}

void slice(const TensorView& y, const TensorView& x, int axis, std::int64_t start, std::int64_t step,
           const Queue& queue) {
  const std::int64_t after = x.shape.product(axis + 1, x.shape.rank());
  StridedCopy plan;
  plan.push_back(x.shape.product(0, axis), y.shape[axis] * after, x.shape[axis] * after);
  plan.push_back(y.shape[axis], after, step * after);
  plan.push_back(after, 1, 1);
  copy_strided(y.data, pieces::at(x, start * after), plan, size_of(x.dtype), queue);
}

void slice_grad(const TensorView& dx, const TensorView& dy, int axis, std::int64_t start, std::int64_t step,
                const Queue& queue) {
  zero(dx, queue);
  const std::int64_t after = dx.shape.product(axis + 1, dx.shape.rank());
  StridedCopy plan;
  plan.push_back(dx.shape.product(0, axis), dx.shape[axis] * after, dy.shape[axis] * after);
  plan.push_back(dy.shape[axis], step * after, after);
  plan.push_back(after, 1, 1);
  copy_strided(pieces::at(dx.data, start * after, size_of(dx.dtype)), dy.data, plan, size_of(dx.dtype), queue);
}

namespace {

auto copying(const Queue& queue) {
  return [&queue](void* to, const void* from, const Pieces& pieces, std::size_t elem_size) {
    copy_pieces(to, from, pieces, elem_size, queue);
  };
}

}  // namespace

void concat(const TensorView& y, std::span<const TensorView> xs, int axis, const Queue& queue) {
  pieces::concat(y, xs, axis, copying(queue));
}

void split(std::span<const TensorView> ys, const TensorView& x, int axis, const Queue& queue) {
  pieces::split(ys, x, axis, copying(queue));
}

void shard_slice(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t begin,
                 std::int64_t end, const Queue& queue) {
  pieces::shard_slice(y, x, sharded, begin, end, copying(queue));
}

void shard_merge(const TensorView& y, const TensorView& x, const ShardedDim& sharded, std::int64_t parts,
                 const Queue& queue) {
  pieces::shard_merge(y, x, sharded, parts, copying(queue));
}

}  // namespace dml::cuda
