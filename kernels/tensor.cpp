#include "kernels/tensor.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/error.h"

namespace dml {

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::f64:
    case DataType::i64: return 8;
    case DataType::f32:
    case DataType::i32: return 4;
    case DataType::f16:
    case DataType::bf16: return 2;
    case DataType::u8:
    case DataType::boolean: return 1;
  }
  return 0;
}

std::string_view name_of(DataType type) {
  switch (type) {
    case DataType::f32: return "f32";
    case DataType::f64: return "f64";
    case DataType::f16: return "f16";
    case DataType::bf16: return "bf16";
    case DataType::i64: return "i64";
    case DataType::i32: return "i32";
    case DataType::u8: return "u8";
    case DataType::boolean: return "bool";
  }
  return "?";
}

bool is_float(DataType type) {
  return type == DataType::f32 || type == DataType::f64 || type == DataType::f16 || type == DataType::bf16;
}

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) {
  for (const std::int64_t extent : extents) push_back(extent);
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == kMaxRank) throw std::invalid_argument("[shape] more than 8 dimensions: " + to_string());
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::int64_t Shape::product(int first, int last) const {
  std::int64_t result = 1;
  for (int dim = first; dim < last; ++dim) result *= (*this)[dim];
  return result;
}

int Shape::normalize(std::int64_t dim) const {
  if (dim < -rank_ || dim >= rank_) {
    throw std::invalid_argument("[shape] dim " + std::to_string(dim) + " of a tensor of shape " + to_string());
  }
  return static_cast<int>(dim < 0 ? dim + rank_ : dim);
}

std::string Shape::to_string() const {
  if (rank_ == 0) return "scalar";
  std::string text;
  for (const std::int64_t extent : *this) {
    if (!text.empty()) text += 'x';
    text += std::to_string(extent);
  }
  return text;
}

bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int dim = 0; dim < rank; ++dim) {
    const int in_a = dim - (rank - a.rank());
    const int in_b = dim - (rank - b.rank());
    const std::int64_t extent_a = in_a < 0 ? 1 : a[in_a];
    const std::int64_t extent_b = in_b < 0 ? 1 : b[in_b];
    if (extent_a != extent_b && extent_a != 1 && extent_b != 1) {
      throw std::invalid_argument("[broadcast] shapes differ: " + a.to_string() + " and " + b.to_string());
    }
    result.push_back(extent_a == 1 ? extent_b : extent_a);
  }
  return result;
}

std::array<std::int64_t, Shape::kMaxRank> strides_of(const Shape& shape) {
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  std::int64_t stride = 1;
  for (int dim = shape.rank() - 1; dim >= 0; --dim) {
    strides[static_cast<std::size_t>(dim)] = stride;
    stride *= shape[dim];
  }
  return strides;
}

}  // namespace dml
