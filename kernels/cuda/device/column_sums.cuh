// Sums down the columns of matrices [kept, rows, columns], in an order that follows from the shape alone. A warp takes
// neighbouring packs of columns, the warps of a block every eighth row; groups of rows are summed side by side, and
// their sums, which go through the workspace, in order and in double.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/device/pack.cuh"
#include "kernels/cuda/device/workspace.h"

namespace dml::cuda {

struct ColumnShape {
  std::int64_t kept = 1;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t tiles = 0;   ///< of columns, one for a block
  std::int64_t groups = 1;  ///< of rows
};

inline constexpr int kColumnSumThreads = 256;
inline constexpr int kColumnSumWarps = kColumnSumThreads / kWarp;

inline ColumnShape column_shape(std::int64_t kept, std::int64_t rows, std::int64_t columns, int elems) {
  constexpr std::int64_t kRowsThatPay = 64, kMaxRows = 4096, kMaxGroups = 64, kEnoughBlocks = 1024;
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  ColumnShape shape{kept, rows, columns, ceil_div(columns, kWarp * elems), 1};
  const std::int64_t blocks = std::max<std::int64_t>(kept * shape.tiles, 1);
  const std::int64_t wanted = std::min({ceil_div(rows, kRowsThatPay), ceil_div(kEnoughBlocks, blocks), kMaxGroups});
  // A float sums only so many rows well.
  shape.groups = std::max({wanted, ceil_div(rows, kMaxRows), std::int64_t{1}});
  return shape;
}

namespace kernels {

/// Terms::add(sums, kept, row, column) adds the terms of a pack of columns in one row to its kSums sums;
/// Terms::finish(sum, kept, column, total) takes a result. A single group finishes here.
template <int kElems, typename Terms>
__global__ void __launch_bounds__(kColumnSumThreads) sum_columns(Terms terms, ColumnShape shape, double* of_groups) {
  constexpr int kSums = Terms::kSums;
  constexpr int kTile = kWarp * kElems;
  __shared__ float of_warps[kColumnSumWarps][kSums][kTile];
  const std::int64_t kept = blockIdx.x / shape.tiles;
  const std::int64_t first = blockIdx.x % shape.tiles * kTile;
  const std::int64_t group = blockIdx.y;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;

  float sums[kSums][kElems] = {};
  if (first + lane * kElems < shape.columns) {
    const std::int64_t end = shape.rows * (group + 1) / shape.groups;
    for (std::int64_t row = shape.rows * group / shape.groups + warp; row < end; row += kColumnSumWarps) {
      terms.add(sums, kept, row, first + lane * kElems);
    }
  }
#pragma unroll
  for (int sum = 0; sum < kSums; ++sum) {
#pragma unroll
    for (int i = 0; i < kElems; ++i) of_warps[warp][sum][lane * kElems + i] = sums[sum][i];
  }
  __syncthreads();

  for (int item = static_cast<int>(threadIdx.x); item < kSums * kTile; item += kColumnSumThreads) {
    const int sum = item / kTile;
    const std::int64_t column = first + item % kTile;
    if (column >= shape.columns) continue;
    double total = 0;
    for (int w = 0; w < kColumnSumWarps; ++w) total += static_cast<double>(of_warps[w][sum][item % kTile]);
    if (shape.groups == 1) {
      terms.finish(sum, kept, column, total);
    } else {
      of_groups[((group * shape.kept + kept) * kSums + sum) * shape.columns + column] = total;
    }
  }
}

template <typename Terms>
__global__ void __launch_bounds__(kColumnSumThreads)
    sum_column_groups(Terms terms, ColumnShape shape, const double* of_groups) {
  const std::int64_t per_group = shape.kept * Terms::kSums * shape.columns;
  const std::int64_t item = std::int64_t{blockIdx.x} * kColumnSumThreads + threadIdx.x;
  if (item >= per_group) return;
  double total = 0;
  for (std::int64_t group = 0; group < shape.groups; ++group) total += of_groups[group * per_group + item];
  const std::int64_t row = item / shape.columns;
  terms.finish(static_cast<int>(row % Terms::kSums), row / Terms::kSums, item % shape.columns, total);
}

}  // namespace kernels

/// Sums in packs of kElems columns, of which each row holds whole ones.
template <int kElems, typename Terms>
void sum_columns(const Terms& terms, std::int64_t kept, std::int64_t rows, std::int64_t columns, const Queue& queue) {
  const ColumnShape shape = column_shape(kept, rows, columns, kElems);
  const std::int64_t per_group = kept * Terms::kSums * columns;
  double* const of_groups = shape.groups > 1 ? workspace<double>(queue, shape.groups * per_group) : nullptr;
  const dim3 grid(static_cast<unsigned>(kept * shape.tiles), static_cast<unsigned>(shape.groups));
  launch<kernels::sum_columns<kElems, Terms>>(grid, kColumnSumThreads, 0, queue, terms, shape, of_groups);
  if (shape.groups > 1) {
    launch<kernels::sum_column_groups<Terms>>(blocks_of(per_group, kColumnSumThreads), kColumnSumThreads, 0, queue,
                                              terms, shape, of_groups);
  }
}

}  // namespace dml::cuda
