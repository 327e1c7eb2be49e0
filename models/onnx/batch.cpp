#include "models/onnx/batch.h"

namespace dml {
namespace {

bool is_reduction(const OnnxNode& node) { return node.type().starts_with("Reduce"); }

bool is_reshape(const OnnxNode& node) {
  return node.type() == "Reshape" || node.type() == "Flatten" || node.type() == "Squeeze" || node.type() == "Unsqueeze";
}

}  // namespace

WrittenBatch::WrittenBatch(std::int64_t written, std::int64_t asked, ShapeTable reference)
    : written_(written), asked_(asked), reference_(std::move(reference)) {}

void WrittenBatch::add_input(const std::string& name, const Shape& shape) {
  const auto reference = reference_.find(name);
  if (reference == reference_.end() || shape == reference->second) return;
  places_[name] = BatchPlace{};
}

const BatchPlace* WrittenBatch::place_of(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &found->second;
}

const BatchPlace* WrittenBatch::place_of_inputs(const OnnxNode& node) const {
  for (const std::string& input : node.inputs) {
    if (const BatchPlace* place = place_of(input)) return place;
  }
  return nullptr;
}

// Row-major, the batch is the factor [inner, inner * written) of the flat index. An output dim with `after` elements
// behind each step of it holds this factor whole if `after` divides inner and it reaches beyond inner * written.
std::optional<BatchPlace> WrittenBatch::reshaped_place(const OnnxNode& node, const BatchPlace& from) const {
  const Shape& input = reference_.at(node.input(0));
  const Shape& output = reference_.at(node.outputs[0]);
  const std::int64_t inner = from.inner * input.product(from.dim + 1, input.rank());
  if (inner == 0) return std::nullopt;
  for (int dim = 0; dim < output.rank(); ++dim) {
    const std::int64_t after = output.product(dim + 1, output.rank());
    if (inner % after == 0 && after * output[dim] % (inner * written_) == 0) return BatchPlace{dim, inner / after};
  }
  return std::nullopt;
}

std::optional<Shape> WrittenBatch::reshaped(const OnnxNode& node) const {
  const BatchPlace* from = place_of(node.input(0));
  if (from == nullptr) return std::nullopt;
  const auto to = reshaped_place(node, *from);
  Shape shape = reference_.at(node.outputs[0]);
  if (!to.has_value()) node.fail("it divides the batch over several dims of " + shape.to_string());
  shape[to->dim] = shape[to->dim] / written_ * asked_;
  return shape;
}

std::vector<std::int64_t> WrittenBatch::expanded(const std::string& input_name, const Shape& input,
                                                 std::vector<std::int64_t> target, bool is_written) const {
  const int shift = static_cast<int>(target.size()) - input.rank();
  if (const BatchPlace* place = place_of(input_name)) {
    const int dim = place->dim + shift;
    if (dim >= 0 && target[static_cast<std::size_t>(dim)] != 1) {
      target[static_cast<std::size_t>(dim)] = input[place->dim];
    }
    return target;
  }
  const bool is_repeated = !target.empty() && shift >= 0 && (shift > 0 || input[0] == 1);
  if (is_written && is_repeated && written_ > 1 && target[0] == written_) target[0] = asked_;
  return target;
}

void WrittenBatch::check_output(const OnnxNode& node, std::size_t index, const Shape& shape) {
  const auto found = reference_.find(node.outputs[index]);
  if (found == reference_.end()) return;
  const Shape& reference = found->second;
  if (shape.rank() != reference.rank()) node.fail("its output has another rank at another batch size");
  const BatchPlace* from = place_of_inputs(node);
  int dim = -1;
  for (int candidate = 0; candidate < shape.rank(); ++candidate) {
    if (shape[candidate] == reference[candidate]) continue;
    if (dim >= 0) node.fail("the batch is in two dims of its output " + shape.to_string());
    dim = candidate;
  }
  if (dim < 0) {
    if (from != nullptr && index == 0 && !is_reduction(node)) node.fail("it takes a fixed part of the batch");
    return;
  }
  if (shape[dim] * written_ != reference[dim] * asked_) {
    node.fail("dim " + std::to_string(dim) + " of its output is " + std::to_string(reference[dim]) + " at batch " +
              std::to_string(written_) + " and " + std::to_string(shape[dim]) + " at batch " + std::to_string(asked_));
  }
  BatchPlace place{dim, from != nullptr ? from->inner : 1};
  if (from != nullptr && is_reshape(node)) place = reshaped_place(node, *from).value_or(place);
  places_[node.outputs[index]] = place;
}

}  // namespace dml
