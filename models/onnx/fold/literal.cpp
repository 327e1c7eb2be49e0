#include "models/onnx/fold/literal.h"

#include "kernels/error.h"
#include "models/onnx/tensor_payload.h"

namespace dml {

double Literal::real_at(std::size_t index) const {
  return is_real() ? reals[index] : static_cast<double>(integers[index]);
}

void check_literal_size(const Shape& shape) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 27;
  checked_shape({shape.begin(), static_cast<std::size_t>(shape.rank())}, "constant");
  if (shape.num_elements() > kMostElements) {
    throw ModelError("a constant of shape " + shape.to_string() + " is too large to be computed while importing");
  }
}

Literal make_literal(Shape shape, std::vector<std::int64_t> elements, DataType dtype) {
  DML_ASSERT(static_cast<std::int64_t>(elements.size()) == shape.num_elements(), shape.to_string());
  if (dtype == DataType::boolean) {
    for (std::int64_t& element : elements) element = element != 0 ? 1 : 0;
  }
  return {dtype, shape, {}, std::move(elements)};
}

Literal make_literal(Shape shape, std::vector<double> elements, DataType dtype) {
  DML_ASSERT(static_cast<std::int64_t>(elements.size()) == shape.num_elements(), shape.to_string());
  if (dtype == DataType::f32) {
    for (double& element : elements) element = static_cast<double>(static_cast<float>(element));
  }
  return {dtype, shape, std::move(elements), {}};
}

Literal literal_of(const TensorSource& source) {
  check_literal_size(source.shape());
  const auto count = static_cast<std::size_t>(source.shape().num_elements());
  if (is_float(source.stored_type())) {
    std::vector<float> elements(count);
    source.read_all_f32(elements.data());
    return {DataType::f32, source.shape(), {elements.begin(), elements.end()}, {}};
  }
  std::vector<std::int64_t> elements(count);
  source.read_i64(elements.data());
  return make_literal(source.shape(), std::move(elements),
                      source.stored_type() == DataType::boolean ? DataType::boolean : DataType::i64);
}

std::shared_ptr<const TensorSource> source_of(const Literal& literal) {
  if (!literal.is_real()) return make_source(literal.shape, literal.integers, literal.dtype);
  std::vector<float> elements;
  elements.reserve(literal.reals.size());
  for (const double element : literal.reals) elements.push_back(static_cast<float>(element));
  return make_source(literal.shape, std::move(elements));
}

BroadcastIndices::BroadcastIndices(const Shape& from, const Shape& to)
    : size_(static_cast<std::size_t>(to.num_elements())), step_(from.num_elements() == 1 ? 0 : 1) {
  check_literal_size(to);
  if (step_ == 0 || from.num_elements() == to.num_elements()) return;
  const auto strides = strides_of(from);
  const auto shift = static_cast<std::size_t>(to.rank() - from.rank());
  std::array<std::int64_t, Shape::kMaxRank> step{};
  for (int dim = 0; dim < from.rank(); ++dim) {
    const auto at = static_cast<std::size_t>(dim);
    step[at + shift] = from[dim] == 1 ? 0 : strides[at];
  }
  indices_.resize(size_);
  for (std::size_t flat = 0; flat < size_; ++flat) {
    auto rest = static_cast<std::int64_t>(flat);
    std::int64_t index = 0;
    for (int dim = to.rank() - 1; dim >= 0; --dim) {
      index += rest % to[dim] * step[static_cast<std::size_t>(dim)];
      rest /= to[dim];
    }
    indices_[flat] = static_cast<std::size_t>(index);
  }
}

Literal broadcast_to(const Literal& x, const Shape& shape) {
  const BroadcastIndices from(x.shape, shape);
  Literal result{x.dtype, shape, {}, {}};
  result.reals.resize(x.is_real() ? from.size() : 0);
  result.integers.resize(x.is_real() ? 0 : from.size());
  for (std::size_t i = 0; i < result.reals.size(); ++i) result.reals[i] = x.reals[from[i]];
  for (std::size_t i = 0; i < result.integers.size(); ++i) result.integers[i] = x.integers[from[i]];
  return result;
}

Literal taken(const Literal& x, const Shape& shape, const std::vector<std::int64_t>& indices) {
  Literal result{x.dtype, shape, {}, {}};
  if (x.is_real()) {
    result.reals.reserve(indices.size());
    for (const std::int64_t index : indices) result.reals.push_back(x.reals[static_cast<std::size_t>(index)]);
  } else {
    result.integers.reserve(indices.size());
    for (const std::int64_t index : indices) result.integers.push_back(x.integers[static_cast<std::size_t>(index)]);
  }
  return result;
}

}  // namespace dml
