// Lowering of operations that move elements: shapes become complete, one operation handles one dim.
#include "kernels/error.h"
#include "models/onnx/fold/shape_rules.h"
#include "models/onnx/lower/lowering.h"

namespace dml {
namespace {

void finish_reshape(Lowering& lowering, const Shape& shape) {
  lowering.finish("Reshape", {lowering.input(0)}, Attributes().set("shape", shape.to_vector()));
}

Attributes slice_attributes(const SliceRange& range) {
  return Attributes()
      .set("axis", std::int64_t{range.axis})
      .set("start", range.start)
      .set("end", range.end)
      .set("step", range.step);
}

}  // namespace

void lower_reshape(Lowering& lowering) {
  const WrittenBatch* batch = lowering.batch();
  const auto free = batch != nullptr ? batch->reshaped(lowering.node) : std::nullopt;
  if (free.has_value()) return finish_reshape(lowering, *free);
  const bool allow_zero = lowering.node.integer("allowzero", 0) != 0;
  finish_reshape(lowering, reshape_shape(lowering.shape(0), lowering.integers(1), allow_zero));
}

void lower_flatten(Lowering& lowering) {
  finish_reshape(lowering, flatten_shape(lowering.shape(0), lowering.node.integer("axis", 1)));
}

void lower_squeeze(Lowering& lowering) {
  finish_reshape(lowering, squeeze_shape(lowering.shape(0), lowering.integers(1, lowering.node.integers("axes"))));
}

void lower_unsqueeze(Lowering& lowering) {
  finish_reshape(lowering, unsqueeze_shape(lowering.shape(0), lowering.integers(1, lowering.node.integers("axes"))));
}

void lower_transpose(Lowering& lowering) {
  const auto perm = normalize_perm(lowering.shape(0), lowering.node.integers("perm"));
  lowering.finish("Transpose", {lowering.input(0)}, Attributes().set("perm", perm));
}

void lower_expand(Lowering& lowering) {
  std::vector<std::int64_t> target = lowering.integers(1);
  if (const WrittenBatch* batch = lowering.batch()) {
    target =
        batch->expanded(lowering.node.input(0), lowering.shape(0), std::move(target), lowering.is_target_written(1));
  }
  const Shape shape = expand_shape(lowering.shape(0), target);
  lowering.finish("Expand", {lowering.input(0)}, Attributes().set("shape", shape.to_vector()));
}

void lower_concat(Lowering& lowering) {
  if (lowering.node.inputs.size() == 1) return lower_identity(lowering);
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < lowering.node.inputs.size(); ++i) inputs.push_back(lowering.input(i));
  const std::int64_t axis = lowering.shape(0).normalize(lowering.node.integer("axis", 0));
  lowering.finish("Concat", std::move(inputs), Attributes().set("axis", axis));
}

void lower_split(Lowering& lowering) {
  const OnnxNode& node = lowering.node;
  const int axis = lowering.shape(0).normalize(node.integer("axis", 0));
  const auto parts = static_cast<std::int64_t>(node.outputs.size());
  const auto sizes = split_sizes(lowering.shape(0)[axis], lowering.integers(1, node.integers("split")), parts);
  lowering.finish_all("Split", {lowering.input(0)}, Attributes().set("axis", std::int64_t{axis}).set("sizes", sizes));
}

void lower_slice(Lowering& lowering) {
  const auto ranges = slice_ranges(lowering.shape(0), lowering.integers(1), lowering.integers(2), lowering.integers(3),
                                   lowering.integers(4));
  if (ranges.empty()) return lower_identity(lowering);
  ValueId x = lowering.input(0);
  for (std::size_t i = 0; i + 1 < ranges.size(); ++i) {
    x = lowering.emit("Slice", {x}, slice_attributes(ranges[i]), "slice" + std::to_string(i));
  }
  lowering.finish("Slice", {x}, slice_attributes(ranges.back()));
}

void lower_gather(Lowering& lowering) {
  const std::int64_t axis = lowering.shape(0).normalize(lowering.node.integer("axis", 0));
  lowering.finish("Gather", {lowering.input(0), lowering.input(1)}, Attributes().set("axis", axis));
}

// x where the mask says so, else 0.
void lower_trilu(Lowering& lowering) {
  const Shape shape = lowering.shape(0);
  if (shape.rank() < 2) lowering.node.fail("its input " + shape.to_string() + " is no matrix");
  const std::int64_t rows = shape[shape.rank() - 2];
  const std::int64_t columns = shape.back();
  check_literal_size({rows, columns});
  const double diagonal = lowering.scalar(1, 0);
  const bool is_upper = lowering.node.integer("upper", 1) != 0;
  std::vector<std::int64_t> mask;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const auto distance = static_cast<double>(column - row);
      mask.push_back((is_upper ? distance >= diagonal : distance <= diagonal) ? 1 : 0);
    }
  }
  const ValueId keep = lowering.constant("mask", make_literal({rows, columns}, std::move(mask), DataType::boolean));
  lowering.finish("Where", {keep, lowering.input(0), lowering.constant("zero", 0.0)});
}

}  // namespace dml
