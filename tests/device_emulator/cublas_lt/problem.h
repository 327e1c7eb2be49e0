// One product as cublasLtMatmul is asked for it, and what the library's documentation demands of it.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

#include "tests/device_emulator/cublas_lt/descriptors.h"
#include "tests/device_emulator/cublas_lt/product.h"
#include "tests/device_emulator/library.h"

namespace dml::emulator::blas {

struct Problem {
  Operation operation;
  Layout a, b, c, d;

  std::int64_t rows() const { return static_cast<std::int64_t>(d.rows); }
  std::int64_t cols() const { return static_cast<std::int64_t>(d.cols); }
  std::int64_t depth() const;
  std::int64_t batches() const { return d.batch_count; }
};

/// What an epilogue does, by the bits of its number.
struct Epilogue {
  bool bias, relu, gelu, gelu_grad, writes_aux, reads_aux;
  bool bias_grad;  ///< of D
  bool bias_grad_of_a, bias_grad_of_b;
};
Epilogue epilogue_of(const Problem& problem);

/// Null descriptors are an invalid value.
cublasStatus_t read_problem(Problem& problem, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d);

/// All that can be said without pointers: types, extents, leading dimensions, batches, epilogue. Ends the process where
/// TF32 is asked for and not allowed (EMULATOR_ALLOW_TF32=1).
cublasStatus_t check_problem(const Problem& problem);

/// Largest power of two, up to 256 bytes, that divides every column (or row) start of the matrix at an address that is
/// aligned to `base` bytes.
std::uint32_t alignment_of(const Layout& layout, std::uint64_t base);

/// Equal for problems for which one choice of the heuristic holds: all but pointers.
std::uint64_t problem_key(const Problem& problem);

/// Elements from the first to behind the last one, over all batches; and the matrix of one batch.
std::int64_t extent(const Layout& layout);
Matrix matrix_of(const Layout& layout, const void* data, std::int64_t batch);

/// See emulator::refuse.
inline cublasStatus_t refuse(cublasStatus_t status, const char* why) {
  return emulator::refuse("cublasLt", status, why);
}

}  // namespace dml::emulator::blas
