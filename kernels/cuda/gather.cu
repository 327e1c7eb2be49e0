// The gradient of a table is summed row by row in the order of the indices, without atomics on floats: positions are
// first sorted by their row, stably, so that who sums a row knows which rows of dy are its own. The indices are read
// four times, dy once, and dx is written once, rows without an index included.
#include "kernels/gather.h"

#include "kernels/bf16.h"
#include "kernels/cuda/device/fault.cuh"
#include "kernels/cuda/device/workspace.h"

namespace dml::cuda {
namespace gathering {

inline constexpr int kThreads = 256;
inline constexpr int kScanThreads = 1024;

/// A GatherShape that kernels can take.
struct Table {
  std::int64_t outer, rows, inner, indices;
  std::int64_t offset, whole;

  explicit Table(const GatherShape& shape)
      : outer(shape.outer),
        rows(shape.rows),
        inner(shape.inner),
        indices(shape.indices),
        offset(shape.offset.value_or(0)),
        whole(shape.rows_to_index()) {}
};

/// Row of this table, negative where the slice does not hold it or the index is out of range, which is reported.
template <typename Index>
__device__ std::int64_t row_of(const Index* indices, std::int64_t position, const Table& table, Fault* fault) {
  const std::int64_t index = indices[position];
  if (index < -table.whole || index >= table.whole) {
    note_fault(fault, Fault::index, position, index, table.whole);
    return -1;
  }
  const std::int64_t row = (index < 0 ? index + table.whole : index) - table.offset;
  return row < table.rows ? row : -1;
}

/// Rows of a block, each with as many threads as a row has words, up to kThreads.
inline dim3 block_for(std::int64_t words) {
  unsigned threads = 1;
  while (threads < words && threads < kThreads) threads *= 2;
  return {threads, kThreads / threads};
}

/// y, in words of the greatest size that divides a row.
template <typename Word, typename Index>
__global__ void __launch_bounds__(kThreads)
    copy_rows(Word* y, const Word* x, const Index* indices, Table table, std::int64_t words, Fault* fault) {
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (item >= table.outer * table.indices) return;
  const std::int64_t outer = item / table.indices;
  const std::int64_t row = row_of(indices, item % table.indices, table, fault);
  Word* const to = y + item * words;
  const Word* const from = x + (outer * table.rows + (row < 0 ? 0 : row)) * words;
  for (std::int64_t i = threadIdx.x; i < words; i += blockDim.x) to[i] = row < 0 ? Word{} : from[i];
}

/// counts[row] = how many indices are that row's.
template <typename Index>
__global__ void __launch_bounds__(kThreads)
    count_rows(std::int32_t* counts, const Index* indices, Table table, Fault* fault) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= table.indices) return;
  const std::int64_t row = row_of(indices, i, table, fault);
  if (row >= 0) atomicAdd(counts + row, 1);
}

/// begins[row] = Σ of the counts before it, for rows 0 to `rows`; cursors likewise. One block.
__global__ void __launch_bounds__(kScanThreads)
    scan_counts(std::int32_t* begins, std::int32_t* cursors, const std::int32_t* counts, std::int64_t rows) {
  __shared__ std::int32_t sums[kScanThreads];
  const std::int64_t per_thread = (rows + kScanThreads - 1) / kScanThreads;
  const std::int64_t first = threadIdx.x * per_thread;
  const std::int64_t last = first + per_thread < rows ? first + per_thread : rows;
  std::int32_t sum = 0;
  for (std::int64_t row = first; row < last; ++row) sum += counts[row];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int step = 1; step < kScanThreads; step *= 2) {
    const std::int32_t before = static_cast<int>(threadIdx.x) >= step ? sums[threadIdx.x - step] : 0;
    __syncthreads();
    sums[threadIdx.x] += before;
    __syncthreads();
  }
  std::int32_t begin = sums[threadIdx.x] - sum;
  for (std::int64_t row = first; row < last; ++row) {
    begins[row] = begin;
    cursors[row] = begin;
    begin += counts[row];
  }
  if (threadIdx.x == kScanThreads - 1) begins[rows] = sums[threadIdx.x];
}

/// Positions of each row side by side, in any order.
template <typename Index>
__global__ void __launch_bounds__(kThreads)
    place_positions(std::int32_t* placed, std::int32_t* cursors, const Index* indices, Table table, Fault* fault) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= table.indices) return;
  const std::int64_t row = row_of(indices, i, table, fault);
  if (row >= 0) placed[atomicAdd(cursors + row, 1)] = static_cast<std::int32_t>(i);
}

/// ... and in the order of the indices: each position goes behind all smaller ones of its row.
template <typename Index>
__global__ void __launch_bounds__(kThreads)
    order_positions(std::int32_t* ordered, const std::int32_t* placed, const std::int32_t* begins, const Index* indices,
                    Table table, Fault* fault) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= table.indices) return;
  const std::int64_t row = row_of(indices, i, table, fault);
  if (row < 0) return;
  std::int32_t rank = begins[row];
  for (std::int32_t at = begins[row]; at < begins[row + 1]; ++at) rank += placed[at] < i ? 1 : 0;
  ordered[rank] = static_cast<std::int32_t>(i);
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    sum_gathered(T* dx, const T* dy, const std::int32_t* ordered, const std::int32_t* begins, Table table) {
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (item >= table.outer * table.rows) return;
  const T* const from = dy + item / table.rows * table.indices * table.inner;
  const std::int32_t begin = begins[item % table.rows];
  const std::int32_t end = begins[item % table.rows + 1];
  for (std::int64_t column = threadIdx.x; column < table.inner; column += blockDim.x) {
    float sum = 0;
#pragma unroll 4
    for (std::int32_t at = begin; at < end; ++at) sum += to_float(from[ordered[at] * table.inner + column]);
    dx[item * table.inner + column] = from_float<T>(sum);
  }
}

template <typename Word, typename Index>
void launch_words(void* y, const void* x, const Index* indices, const Table& table, std::int64_t words,
                  const Queue& queue) {
  const dim3 block = block_for(words);
  launch<copy_rows<Word, Index>>(blocks_of(table.outer * table.indices, block.y), block, 0, queue,
                                 static_cast<Word*>(y), static_cast<const Word*>(x), indices, table, words,
                                 queue.fault);
}

template <typename Index>
void gather_of(void* y, const void* x, const Index* indices, const GatherShape& shape, std::size_t elem_size,
               const Queue& queue) {
  const Table table(shape);
  const std::int64_t bytes = shape.inner * static_cast<std::int64_t>(elem_size);
  if (bytes == 0) return;
  const auto together =
      reinterpret_cast<std::uintptr_t>(y) | reinterpret_cast<std::uintptr_t>(x) | static_cast<std::uintptr_t>(bytes);
  if (together % 16 == 0) return launch_words<uint4>(y, x, indices, table, bytes / 16, queue);
  if (together % 8 == 0) return launch_words<std::uint64_t>(y, x, indices, table, bytes / 8, queue);
  if (together % 4 == 0) return launch_words<std::uint32_t>(y, x, indices, table, bytes / 4, queue);
  if (together % 2 == 0) return launch_words<std::uint16_t>(y, x, indices, table, bytes / 2, queue);
  return launch_words<std::uint8_t>(y, x, indices, table, bytes, queue);
}

/// The workspace of a gradient, an array after the other.
struct Sorting {
  std::int32_t *counts, *cursors, *begins, *placed, *ordered;

  Sorting(const GatherShape& shape, const Queue& queue)
      : counts(workspace<std::int32_t>(queue, 3 * shape.rows + 1 + 2 * shape.indices)),
        cursors(counts + shape.rows),
        begins(cursors + shape.rows),
        placed(begins + shape.rows + 1),
        ordered(placed + shape.indices) {}
};

template <typename T, typename Index>
void gather_grad_of(T* dx, const T* dy, const Index* indices, const GatherShape& shape, const Queue& queue) {
  const Table table(shape);
  if (shape.rows == 0 || shape.inner == 0) return;
  const Sorting sorting(shape, queue);
  const unsigned blocks = blocks_of(shape.indices, kThreads);
  DML_CUDA(
      cudaMemsetAsync(sorting.counts, 0, static_cast<std::size_t>(shape.rows) * sizeof(std::int32_t), queue.stream));
  launch<count_rows<Index>>(blocks, kThreads, 0, queue, sorting.counts, indices, table, queue.fault);
  launch<scan_counts>(1, kScanThreads, 0, queue, sorting.begins, sorting.cursors, sorting.counts, shape.rows);
  launch<place_positions<Index>>(blocks, kThreads, 0, queue, sorting.placed, sorting.cursors, indices, table,
                                 queue.fault);
  launch<order_positions<Index>>(blocks, kThreads, 0, queue, sorting.ordered, sorting.placed, sorting.begins, indices,
                                 table, queue.fault);
  const dim3 block = block_for(shape.inner);
  launch<sum_gathered<T>>(blocks_of(shape.outer * shape.rows, block.y), block, 0, queue, dx, dy, sorting.ordered,
                          sorting.begins, table);
}

}  // namespace gathering

void gather(void* y, const void* x, const std::int64_t* indices, const GatherShape& shape, std::size_t elem_size,
            const Queue& queue) {
  gathering::gather_of(y, x, indices, shape, elem_size, queue);
}

void gather(void* y, const void* x, const std::int32_t* indices, const GatherShape& shape, std::size_t elem_size,
            const Queue& queue) {
  gathering::gather_of(y, x, indices, shape, elem_size, queue);
}

template <typename T, typename Index>
void gather_grad(T* dx, const T* dy, const Index* indices, const GatherShape& shape, const Queue& queue) {
  gathering::gather_grad_of(dx, dy, indices, shape, queue);
}

template void gather_grad(float*, const float*, const std::int64_t*, const GatherShape&, const Queue&);
template void gather_grad(float*, const float*, const std::int32_t*, const GatherShape&, const Queue&);
template void gather_grad(bf16*, const bf16*, const std::int64_t*, const GatherShape&, const Queue&);
template void gather_grad(bf16*, const bf16*, const std::int32_t*, const GatherShape&, const Queue&);

}  // namespace dml::cuda
