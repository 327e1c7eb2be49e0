// Products of small matrices that lie in the caches, for use inside a kernel: C (+)= A B, where a row of C stays in
// registers while the depth is walked. B and C are row-major; A has any strides, so its transpose costs nothing.
#pragma once

#include "kernels/cpu/variant.h"

namespace dml::cpu::DML_VARIANT {

struct TileA {
  const float* data;
  std::int64_t row_step;
  std::int64_t depth_step;
};

struct TileB {
  const float* data;
  std::int64_t row_step;
};

/// kRows × (kVecs · kLanes) elements of C in registers.
template <int kRows, int kVecs>
DML_INLINE void product_block(float* c, std::int64_t c_step, TileA a, TileB b, std::int64_t depth, bool accumulates) {
  Vec sums[kRows][kVecs];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) {
      sums[row][v] = accumulates ? load(c + row * c_step + v * kLanes) : splat(0.0f);
    }
  }
  for (std::int64_t p = 0; p < depth; ++p) {
    Vec columns[kVecs];
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) columns[v] = load(b.data + p * b.row_step + v * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const float factor = a.data[row * a.row_step + p * a.depth_step];
#pragma GCC unroll 2
      for (int v = 0; v < kVecs; ++v) sums[row][v] += factor * columns[v];
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) store(c + row * c_step + v * kLanes, sums[row][v]);
  }
}

template <int kVecs>
DML_INLINE void product_strip(float* c, std::int64_t c_step, TileA a, TileB b, std::int64_t rows, std::int64_t depth,
                              bool accumulates) {
  constexpr int kBlockRows = DML_LANES == 16 ? 8 : 4;  // as many as registers hold
  std::int64_t row = 0;
  const auto block = [&]<int kRows>() {
    const TileA part{a.data + row * a.row_step, a.row_step, a.depth_step};
    product_block<kRows, kVecs>(c + row * c_step, c_step, part, b, depth, accumulates);
    row += kRows;
  };
  while (row + kBlockRows <= rows) block.template operator()<kBlockRows>();
  if (kBlockRows > 4 && row + 4 <= rows) block.template operator()<4>();
  if (row + 2 <= rows) block.template operator()<2>();
  if (row < rows) block.template operator()<1>();
}

/// C [rows, columns] (+)= A [rows, depth] B [depth, columns]; columns a multiple of kLanes.
[[gnu::noinline]] static void tile_product(float* c, std::int64_t c_step, TileA a, TileB b, std::int64_t rows,
                                           std::int64_t columns, std::int64_t depth, bool accumulates) {
  std::int64_t column = 0;
  for (; column + 2 * kLanes <= columns; column += 2 * kLanes) {
    product_strip<2>(c + column, c_step, a, {b.data + column, b.row_step}, rows, depth, accumulates);
  }
  if (column < columns) {
    product_strip<1>(c + column, c_step, a, {b.data + column, b.row_step}, rows, depth, accumulates);
  }
}

}  // namespace dml::cpu::DML_VARIANT
