// Sums in an order that depends on shapes and instruction set only, never on threads: short runs in float lanes, then
// double. Rows are summed along, columns down a matrix.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"
#include "kernels/tensor.h"

namespace dml::cpu::DML_VARIANT {

/// Σ term(i) for i in [0, n). Float lanes take at most 32 terms each before they are added up in double.
template <typename Term>
DML_INLINE double sum_terms(std::int64_t n, const Term& term) {
  constexpr std::int64_t kWidth = 2 * kLanes;
  constexpr std::int64_t kRun = 32 * kWidth;
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += kRun) {
    const std::int64_t end = begin + kRun < n ? begin + kRun : n;
    float lanes[kWidth] = {};
    std::int64_t i = begin;
    for (; i + kWidth <= end; i += kWidth) {
#pragma omp simd
      for (std::int64_t lane = 0; lane < kWidth; ++lane) lanes[lane] += term(i + lane);
    }
    for (std::int64_t lane = 0; i < end; ++i, ++lane) lanes[lane] += term(i);
    total += static_cast<double>(sum_lanes(load(lanes) + load(lanes + kLanes)));
  }
  return total;
}

/// The greatest element; a NaN is passed over. -inf for n = 0.
DML_INLINE float max_of(const float* x, std::int64_t n) {
  Vec lanes = splat(-__builtin_inff());
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) lanes = max(load(x + i), lanes);
  if (i < n) lanes = max(load_first(x + i, n - i, -__builtin_inff()), lanes);
  return max_lanes(lanes);
}

inline constexpr std::int64_t kMaxBlocks = 64;

/// Σ piece(begin, end) over at most kMaxBlocks pieces of [0, n), in parallel, added in order. `weight` is the work of
/// one of the n.
template <typename Piece>
static inline double sum_blocks(std::int64_t n, std::int64_t elems_per_block, std::int64_t weight, const Piece& piece) {
  const std::int64_t wanted = (n + elems_per_block - 1) / elems_per_block;
  const std::int64_t blocks = wanted < 1 ? 1 : wanted < kMaxBlocks ? wanted : kMaxBlocks;
  double partial[kMaxBlocks];
  parallel_for(blocks, n / blocks * weight, [&](std::int64_t block) {
    partial[block] = piece(part_begin(n, blocks, block), part_begin(n, blocks, block + 1));
  });
  double total = 0;
  for (std::int64_t block = 0; block < blocks; ++block) total += partial[block];
  return total;
}

inline constexpr std::int64_t kTileColumns = 256;

/// Adds rows [first, last) of one tile of columns to total[kSums * kTileColumns]:
/// add_row(sums, row) adds that row's terms to float sums[kSums * kTileColumns].
template <int kSums, typename AddRow>
DML_INLINE void add_rows(double* total, std::int64_t first, std::int64_t last, const AddRow& add_row) {
  constexpr std::int64_t kRun = 32;
  float sums[kSums * kTileColumns];
  for (std::int64_t begin = first; begin < last; begin += kRun) {
    for (float& sum : sums) sum = 0;
    const std::int64_t end = begin + kRun < last ? begin + kRun : last;
    for (std::int64_t row = begin; row < end; ++row) add_row(sums, row);
#pragma omp simd
    for (std::int64_t i = 0; i < kSums * kTileColumns; ++i) total[i] += static_cast<double>(sums[i]);
  }
}

/// Sums down the columns of a matrix in parallel: over tiles of columns, or over blocks of rows where tiles are few.
/// add_row(sums, row, column, n) as above for the n columns from `column` on; finish(total, column, n) takes a tile's.
template <int kSums, typename AddRow, typename Finish>
static inline void sum_columns(std::int64_t rows, std::int64_t columns, const AddRow& add_row, const Finish& finish) {
  constexpr std::int64_t kRowBlocks = 16;
  const std::int64_t tiles = (columns + kTileColumns - 1) / kTileColumns;
  const bool by_rows = tiles < 8 && rows >= 128;
  const std::int64_t blocks = by_rows ? kRowBlocks : 1;
  const auto tile_of = [&](double* total, std::int64_t tile, std::int64_t block) {
    const std::int64_t column = tile * kTileColumns;
    const std::int64_t n = columns - column < kTileColumns ? columns - column : kTileColumns;
    for (std::int64_t i = 0; i < kSums * kTileColumns; ++i) total[i] = 0;
    add_rows<kSums>(total, part_begin(rows, blocks, block), part_begin(rows, blocks, block + 1),
                    [&](float* sums, std::int64_t row) { add_row(sums, row, column, n); });
    return n;
  };
  if (!by_rows) {
    parallel_for(tiles, rows * kTileColumns, [&](std::int64_t tile) {
      double total[kSums * kTileColumns];
      const std::int64_t n = tile_of(total, tile, 0);
      finish(total, tile * kTileColumns, n);
    });
    return;
  }
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    double total[kRowBlocks][kSums * kTileColumns];
    const std::int64_t column = tile * kTileColumns;
    const std::int64_t n = columns - column < kTileColumns ? columns - column : kTileColumns;
    parallel_for(kRowBlocks, rows * n / kRowBlocks, [&](std::int64_t block) { tile_of(total[block], tile, block); });
    for (std::int64_t block = 1; block < kRowBlocks; ++block) {
      for (std::int64_t i = 0; i < kSums * kTileColumns; ++i) total[0][i] += total[block][i];
    }
    finish(total[0], column, n);
  }
}

}  // namespace dml::cpu::DML_VARIANT
