// Rows of a table by index, and the gradient of the table. The table is read as [outer, rows, inner].
#pragma once

#include <cstdint>
#include <optional>

namespace dml {

struct GatherShape {
  std::int64_t outer = 1;
  std::int64_t rows = 0;
  std::int64_t inner = 1;
  std::int64_t indices = 0;  ///< how many
  /// Of a table that is the slice [offset, offset + rows) of one of `whole` rows: indices outside the slice give zeros
  /// and get no gradient. An index is in [-whole, whole), or in [-rows, rows) without a slice, the negative ones
  /// counting from the end.
  std::optional<std::int64_t> offset;
  std::int64_t whole = 0;

  std::int64_t rows_to_index() const { return offset ? whole : rows; }
};

}  // namespace dml

namespace dml::cpu {

/// y [outer, indices, inner] of elements of `elem_size` bytes. Throws std::invalid_argument with position and value
/// where an index is out of range.
void gather(void* y, const void* x, const std::int64_t* indices, const GatherShape& shape, std::size_t elem_size);
void gather(void* y, const void* x, const std::int32_t* indices, const GatherShape& shape, std::size_t elem_size);

/// dx [outer, rows, inner] = Σ of the rows of dy that were gathered from each row, in the order of the indices.
void gather_grad(float* dx, const float* dy, const std::int64_t* indices, const GatherShape& shape);
void gather_grad(float* dx, const float* dy, const std::int32_t* indices, const GatherShape& shape);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// The same on a queue. An index out of range is reported as a fault and gives zeros.
void gather(void* y, const void* x, const std::int64_t* indices, const GatherShape& shape, std::size_t elem_size,
            const Queue& queue);
void gather(void* y, const void* x, const std::int32_t* indices, const GatherShape& shape, std::size_t elem_size,
            const Queue& queue);

/// The same on a queue; for f32 and bf16, indices of 32 and 64 bits, fewer than 2^31. Sorts the indices in the
/// workspace: (3 · rows + 2 · indices + 1) · 4 bytes. Throws DeviceError where that is too small.
template <typename T, typename Index>
void gather_grad(T* dx, const T* dy, const Index* indices, const GatherShape& shape, const Queue& queue);

}  // namespace dml::cuda
