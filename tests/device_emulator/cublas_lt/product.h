// The arithmetic of cublasLtMatmul on host memory, in float: correct for any strides, fast enough for trainings.
#pragma once

#include <cstdint>

#include <library_types.h>

namespace dml::emulator::blas {

/// A matrix in memory: element (i, j) lies row_step · i + col_step · j elements behind data.
struct Matrix {
  void* data;
  cudaDataType_t type;  ///< f32 or bf16
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t row_step;
  std::int64_t col_step;
  bool is_tf32 = false;  ///< read as such

  float get(std::int64_t i, std::int64_t j) const;
  void set(std::int64_t i, std::int64_t j, float value) const;
  Matrix transposed() const { return {data, type, cols, rows, col_step, row_step, is_tf32}; }
};

float load(const void* data, std::int64_t type, std::int64_t at);
/// Rounds to nearest, ties to even.
void store(void* data, std::int64_t type, std::int64_t at, float value);

/// sums[m · n], column-major = a[m, k] b[k, n]. Each sum is taken over k in order.
void product(float* sums, const Matrix& a, const Matrix& b);

}  // namespace dml::emulator::blas
