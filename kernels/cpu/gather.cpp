// The gradient is split by columns, never by indices: each column is summed in the order of the indices by one thread.
#include "kernels/gather.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/cpu/parallel.h"

namespace dml::cpu {
namespace {

template <typename Index>
void check_indices(const Index* indices, const GatherShape& shape) {
  const std::int64_t rows = shape.rows_to_index();
  for (std::int64_t i = 0; i < shape.indices; ++i) {
    if (indices[i] < -rows || indices[i] >= rows) {
      throw std::invalid_argument("[gather] index " + std::to_string(indices[i]) + " at position " + std::to_string(i) +
                                  " of a table of " + std::to_string(rows) + " rows");
    }
  }
}

/// Row of this table, or -1 where the slice does not hold it.
std::int64_t row_of(std::int64_t index, const GatherShape& shape) {
  const std::int64_t row = (index < 0 ? index + shape.rows_to_index() : index) - shape.offset.value_or(0);
  return row >= 0 && row < shape.rows ? row : -1;
}

template <typename Index>
void gather_of(void* y, const void* x, const Index* indices, const GatherShape& shape, std::size_t elem_size) {
  check_indices(indices, shape);
  const std::size_t bytes = static_cast<std::size_t>(shape.inner) * elem_size;
  parallel_for(shape.outer * shape.indices, shape.inner, [&](std::int64_t item) {
    const std::int64_t row = row_of(indices[item % shape.indices], shape);
    char* to = static_cast<char*>(y) + static_cast<std::size_t>(item) * bytes;
    const std::int64_t from = item / shape.indices * shape.rows + row;
    if (row < 0) {
      std::memset(to, 0, bytes);
    } else {
      std::memcpy(to, static_cast<const char*>(x) + static_cast<std::size_t>(from) * bytes, bytes);
    }
  });
}

template <typename Index>
void gather_grad_of(float* dx, const float* dy, const Index* indices, const GatherShape& shape) {
  constexpr std::int64_t kColumns = 64;
  check_indices(indices, shape);
  const std::int64_t tiles = (shape.inner + kColumns - 1) / kColumns;
  parallel_for(shape.outer * tiles, (shape.rows + shape.indices) * std::min(shape.inner, kColumns),
               [&](std::int64_t item) {
                 const std::int64_t outer = item / tiles;
                 const std::int64_t column = item % tiles * kColumns;
                 const std::int64_t n = std::min(kColumns, shape.inner - column);
                 float* table = dx + outer * shape.rows * shape.inner + column;
                 const float* from = dy + outer * shape.indices * shape.inner + column;
                 for (std::int64_t row = 0; row < shape.rows; ++row) std::fill_n(table + row * shape.inner, n, 0.0f);
                 for (std::int64_t i = 0; i < shape.indices; ++i) {
                   const std::int64_t row = row_of(indices[i], shape);
                   if (row < 0) continue;
                   float* sum = table + row * shape.inner;
                   const float* add = from + i * shape.inner;
#pragma omp simd
                   for (std::int64_t c = 0; c < n; ++c) sum[c] += add[c];
                 }
               });
}

}  // namespace

void gather(void* y, const void* x, const std::int64_t* indices, const GatherShape& shape, std::size_t elem_size) {
  gather_of(y, x, indices, shape, elem_size);
}

void gather(void* y, const void* x, const std::int32_t* indices, const GatherShape& shape, std::size_t elem_size) {
  gather_of(y, x, indices, shape, elem_size);
}

void gather_grad(float* dx, const float* dy, const std::int64_t* indices, const GatherShape& shape) {
  gather_grad_of(dx, dy, indices, shape);
}

void gather_grad(float* dx, const float* dy, const std::int32_t* indices, const GatherShape& shape) {
  gather_grad_of(dx, dy, indices, shape);
}

}  // namespace dml::cpu
