// What a kernel sees of memory: a data type, a shape, and a view. Views are dense, row-major and own nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dml {

enum class DataType : std::uint8_t { f32, f64, f16, bf16, i64, i32, u8, boolean };

/// Bytes of one element.
std::size_t size_of(DataType type);
/// "f32", "i64", ...: the spelling of every message and file of ours.
std::string_view name_of(DataType type);
bool is_float(DataType type);

/// Up to eight extents, outermost first; a scalar has none. A value type without allocation.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const { return rank_; }
  std::int64_t operator[](int dim) const { return extents_[static_cast<std::size_t>(dim)]; }
  std::int64_t& operator[](int dim) { return extents_[static_cast<std::size_t>(dim)]; }
  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }
  std::int64_t back() const { return extents_[static_cast<std::size_t>(rank_ - 1)]; }

  /// Product of the extents; 1 for a scalar.
  std::int64_t num_elements() const { return product(0, rank_); }
  /// Product of the extents of dims [first, last).
  std::int64_t product(int first, int last) const;
  /// A dim in [-rank, rank) as one in [0, rank); throws std::invalid_argument otherwise.
  int normalize(std::int64_t dim) const;
  void push_back(std::int64_t extent);
  std::vector<std::int64_t> to_vector() const { return {begin(), end()}; }
  /// "2x3x4", or "scalar".
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

/// NumPy's broadcast of two shapes; throws std::invalid_argument with both where they do not fit.
Shape broadcast(const Shape& a, const Shape& b);
/// Row-major strides in elements.
std::array<std::int64_t, Shape::kMaxRank> strides_of(const Shape& shape);

/// Memory that somebody else owns, read as a dense row-major tensor.
struct TensorView {
  void* data = nullptr;
  DataType dtype = DataType::f32;
  Shape shape;

  std::int64_t num_elements() const { return shape.num_elements(); }
  std::size_t num_bytes() const { return static_cast<std::size_t>(shape.num_elements()) * size_of(dtype); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  float* f32() const { return static_cast<float*>(data); }
  explicit operator bool() const { return data != nullptr; }
};

/// First element of part `index` of `parts` when `total` things are split as evenly as whole things allow:
/// part i is [floor(i*total/parts), floor((i+1)*total/parts)). The one rule for every split in the program.
constexpr std::int64_t part_begin(std::int64_t total, std::int64_t parts, std::int64_t index) {
  return total / parts * index + total % parts * index / parts;
}
constexpr std::int64_t part_size(std::int64_t total, std::int64_t parts, std::int64_t index) {
  return part_begin(total, parts, index + 1) - part_begin(total, parts, index);
}

}  // namespace dml
