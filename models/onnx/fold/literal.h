// A tensor whose elements are known while importing: constants, shapes, and what is computed from them.
#pragma once

#include <memory>
#include <vector>

#include "models/graph.h"

namespace dml {

/// Floats are kept as doubles (rounded to float after each operation where dtype is f32), all else as 64-bit integers.
struct Literal {
  DataType dtype = DataType::i64;  ///< f32, f64, i64 or boolean
  Shape shape;
  std::vector<double> reals;           ///< of f32 and f64
  std::vector<std::int64_t> integers;  ///< of i64 and boolean

  bool is_real() const { return is_float(dtype); }
  std::int64_t num_elements() const { return shape.num_elements(); }
  double real_at(std::size_t index) const;
};

/// Throws ModelError above 2^27 elements: so large a tensor is not computed while importing.
void check_literal_size(const Shape& shape);

Literal make_literal(Shape shape, std::vector<std::int64_t> elements, DataType dtype = DataType::i64);
/// Elements are rounded where dtype is f32.
Literal make_literal(Shape shape, std::vector<double> elements, DataType dtype);

/// All elements of a source; 16-bit and 64-bit floats become f32.
Literal literal_of(const TensorSource& source);
std::shared_ptr<const TensorSource> source_of(const Literal& literal);

/// For each element of a tensor of shape `to`, the flat index of the element of `from` that broadcasting puts there.
/// One element, or all in their order, need no list.
class BroadcastIndices {
 public:
  BroadcastIndices(const Shape& from, const Shape& to);

  std::size_t size() const { return size_; }
  std::size_t operator[](std::size_t flat) const { return indices_.empty() ? flat * step_ : indices_[flat]; }

 private:
  std::size_t size_;
  std::size_t step_;
  std::vector<std::size_t> indices_;
};

/// x as a tensor of `shape`.
Literal broadcast_to(const Literal& x, const Shape& shape);
/// The elements of x at flat `indices`, as a tensor of `shape`.
Literal taken(const Literal& x, const Shape& shape, const std::vector<std::int64_t>& indices);

}  // namespace dml
