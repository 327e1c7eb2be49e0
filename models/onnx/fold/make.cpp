// Folding of operations that make tensors out of nothing, of a shape, or of scalars.
#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "models/onnx/fold/fold.h"
#include "models/onnx/tensor_payload.h"

namespace dml {
namespace {

Literal vector_of(std::vector<std::int64_t> elements) {
  const Shape shape{static_cast<std::int64_t>(elements.size())};
  return make_literal(shape, std::move(elements));
}

Literal vector_of(std::vector<double> elements, DataType dtype) {
  const Shape shape{static_cast<std::int64_t>(elements.size())};
  return make_literal(shape, std::move(elements), dtype);
}

Literal literal_of_tensor(const onnx::TensorProto& tensor, const std::string& name) {
  const SourceMap none;
  PayloadReader reader(nullptr, "", none);
  return literal_of(*reader.read(tensor, name));
}

std::int64_t count_of_range(double start, double limit, double delta) {
  const double count = std::ceil((limit - start) / delta);
  if (!(count < static_cast<double>(kMaxElements))) throw std::invalid_argument("a range without end");
  return count > 0 ? static_cast<std::int64_t>(count) : 0;
}

const Literal& scalar(const Folding& fold, std::size_t index) {
  const Literal& x = fold.input(index);
  if (x.num_elements() != 1) throw std::invalid_argument("input " + std::to_string(index) + " is no scalar");
  return x;
}

}  // namespace

std::vector<Literal> fold_constant(const Folding& fold) {
  const OnnxNode& node = fold.node;
  if (const auto* tensor = node.tensor("value")) return single_output(literal_of_tensor(*tensor, node.name));
  if (node.has("value_int"))
    return single_output(make_literal({}, std::vector<std::int64_t>{node.integer("value_int", 0)}));
  if (node.has("value_float"))
    return single_output(make_literal({}, std::vector<double>{node.real("value_float", 0)}, DataType::f32));
  if (node.has("value_ints")) return single_output(vector_of(node.integers("value_ints")));
  if (node.has("value_floats")) return single_output(vector_of(node.reals("value_floats"), DataType::f32));
  throw std::invalid_argument("it holds neither a tensor, floats, nor integers");
}

std::vector<Literal> fold_shape(const Folding& fold) {
  const std::int64_t rank = fold.shape->rank();
  const auto clamped = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const std::int64_t start = clamped(fold.node.integer("start", 0));
  const std::int64_t end = clamped(fold.node.integer("end", rank));
  std::vector<std::int64_t> extents;
  for (std::int64_t dim = start; dim < end; ++dim) extents.push_back((*fold.shape)[static_cast<int>(dim)]);
  return single_output(vector_of(std::move(extents)));
}

std::vector<Literal> fold_size(const Folding& fold) {
  return single_output(make_literal({}, std::vector<std::int64_t>{fold.shape->num_elements()}));
}

std::vector<Literal> fold_range(const Folding& fold) {
  const Literal& start = scalar(fold, 0);
  const Literal& limit = scalar(fold, 1);
  const Literal& delta = scalar(fold, 2);
  const std::int64_t count = count_of_range(start.real_at(0), limit.real_at(0), delta.real_at(0));
  check_literal_size({count});
  if (start.is_real()) {
    std::vector<double> elements;
    for (std::int64_t i = 0; i < count; ++i) {
      elements.push_back(start.real_at(0) + static_cast<double>(i) * delta.real_at(0));
    }
    return single_output(vector_of(std::move(elements), start.dtype));
  }
  if (delta.is_real()) throw std::invalid_argument("integers and floats are mixed");
  std::vector<std::int64_t> elements;
  auto element = static_cast<std::uint64_t>(start.integers[0]);
  for (std::int64_t i = 0; i < count; ++i) {
    elements.push_back(static_cast<std::int64_t>(element));
    element += static_cast<std::uint64_t>(delta.integers[0]);
  }
  return single_output(vector_of(std::move(elements)));
}

std::vector<Literal> fold_constant_of_shape(const Folding& fold) {
  std::vector<std::int64_t> target = fold.integers(0);
  if (fold.batch != nullptr) target = fold.batch->expanded("", {}, std::move(target), fold.is_target_written);
  const Shape shape = checked_shape(target, fold.node.name);
  check_literal_size(shape);
  Literal value = make_literal({1}, std::vector<double>{0}, DataType::f32);
  if (const auto* tensor = fold.node.tensor("value")) value = literal_of_tensor(*tensor, fold.node.name);
  if (value.num_elements() != 1) throw std::invalid_argument("its value is no scalar");
  return single_output(broadcast_to(value, shape));
}

}  // namespace dml
