#include "tests/device_emulator/cublas_lt/product.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/bf16.h"
#include "tests/device_emulator/tf32.h"

namespace dml::emulator::blas {

namespace {

constexpr std::int64_t kTileRows = 32;  ///< of the result, contiguous: two vectors of AVX-512, four of AVX2
constexpr std::int64_t kTileCols = 6;
constexpr std::int64_t kDepth = 256;  ///< a panel of a (32 KiB) stays in the first cache

/// packed[k][kTileRows] of rows `row`.. of a; rows that are not there are zero.
void pack_rows(float* packed, const Matrix& a, std::int64_t row, std::int64_t first, std::int64_t depth) {
  const std::int64_t rows = std::min(kTileRows, a.rows - row);
  for (std::int64_t k = 0; k < depth; ++k) {
    for (std::int64_t i = 0; i < rows; ++i) packed[k * kTileRows + i] = a.get(row + i, first + k);
    std::fill(packed + k * kTileRows + rows, packed + (k + 1) * kTileRows, 0.0f);
  }
}

/// packed[column tile][k][kTileCols] of all columns of b; columns that are not there are zero.
void pack_cols(float* packed, const Matrix& b, std::int64_t first, std::int64_t depth) {
  for (std::int64_t col = 0; col < b.cols; col += kTileCols, packed += depth * kTileCols) {
    const std::int64_t cols = std::min(kTileCols, b.cols - col);
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t j = 0; j < kTileCols; ++j) {
        packed[k * kTileCols + j] = j < cols ? b.get(first + k, col + j) : 0.0f;
      }
    }
  }
}

// One version for each width of vectors; the loader picks, before thread sanitizer's runtime could bear it. Products
// and sums are never contracted, so all versions give the same bits.
#if defined(__SANITIZE_THREAD__)
#define EMULATOR_VECTOR_CLONES
#else
#define EMULATOR_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif

/// sums[kTileCols][kTileRows] += a_packed · b_packed
EMULATOR_VECTOR_CLONES void tile_product(float* sums, const float* a, const float* b, std::int64_t depth) {
  float tile[kTileCols][kTileRows];
  std::copy(sums, sums + kTileCols * kTileRows, &tile[0][0]);
  for (std::int64_t k = 0; k < depth; ++k) {
    for (std::int64_t j = 0; j < kTileCols; ++j) {
      for (std::int64_t i = 0; i < kTileRows; ++i) tile[j][i] += a[k * kTileRows + i] * b[k * kTileCols + j];
    }
  }
  std::copy(&tile[0][0], &tile[0][0] + kTileCols * kTileRows, sums);
}

void add_tile(float* sums, const float* tile, const Matrix& a, const Matrix& b, std::int64_t row, std::int64_t col) {
  const std::int64_t rows = std::min(kTileRows, a.rows - row);
  const std::int64_t cols = std::min(kTileCols, b.cols - col);
  for (std::int64_t j = 0; j < cols; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) sums[(col + j) * a.rows + row + i] += tile[j * kTileRows + i];
  }
}

}  // namespace

float load(const void* data, std::int64_t type, std::int64_t at) {
  if (type == CUDA_R_16BF) return to_float(static_cast<const bf16*>(data)[at]);
  return static_cast<const float*>(data)[at];
}

void store(void* data, std::int64_t type, std::int64_t at, float value) {
  if (type == CUDA_R_16BF) {
    static_cast<bf16*>(data)[at] = to_bf16(value);
  } else {
    static_cast<float*>(data)[at] = value;
  }
}

float Matrix::get(std::int64_t i, std::int64_t j) const {
  const float value = load(data, type, i * row_step + j * col_step);
  return is_tf32 ? to_tf32(value) : value;
}
void Matrix::set(std::int64_t i, std::int64_t j, float value) const {
  store(data, type, i * row_step + j * col_step, value);
}

void product(float* sums, const Matrix& a, const Matrix& b) {
  std::fill(sums, sums + a.rows * b.cols, 0.0f);
  const std::int64_t col_tiles = (b.cols + kTileCols - 1) / kTileCols;
  std::vector<float> a_packed(static_cast<std::size_t>(kDepth * kTileRows));
  std::vector<float> b_packed(static_cast<std::size_t>(kDepth * kTileCols * col_tiles));
  for (std::int64_t first = 0; first < a.cols; first += kDepth) {
    const std::int64_t depth = std::min(kDepth, a.cols - first);
    pack_cols(b_packed.data(), b, first, depth);
    for (std::int64_t row = 0; row < a.rows; row += kTileRows) {
      pack_rows(a_packed.data(), a, row, first, depth);
      for (std::int64_t t = 0; t < col_tiles; ++t) {
        float tile[kTileCols * kTileRows] = {};
        tile_product(tile, a_packed.data(), b_packed.data() + t * depth * kTileCols, depth);
        add_tile(sums, tile, a, b, row, t * kTileCols);
      }
    }
  }
}

}  // namespace dml::emulator::blas
