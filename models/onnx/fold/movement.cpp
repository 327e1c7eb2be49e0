// Folding of operations that move elements without changing them: each computes the flat indices it takes from.
#include <algorithm>
#include <utility>

#include "kernels/error.h"
#include "models/onnx/fold/fold.h"
#include "models/onnx/fold/shape_rules.h"

namespace dml {
namespace {

std::vector<Literal> reshaped(const Literal& x, const Shape& shape) {
  Literal result = x;
  result.shape = shape;
  return {std::move(result)};
}

/// Indices of the slab [start, start + step · count) along one dim.
std::vector<std::int64_t> slab_indices(const Shape& shape, const SliceRange& range) {
  const std::int64_t outer = shape.product(0, range.axis);
  const std::int64_t inner = shape.product(range.axis + 1, shape.rank());
  std::vector<std::int64_t> indices;
  for (std::int64_t block = 0; block < outer; ++block) {
    for (std::int64_t i = 0; i < range.count(); ++i) {
      const std::int64_t row = block * shape[range.axis] + range.start + i * range.step;
      for (std::int64_t j = 0; j < inner; ++j) indices.push_back(row * inner + j);
    }
  }
  return indices;
}

Literal slab(const Literal& x, const SliceRange& range) {
  Shape shape = x.shape;
  shape[range.axis] = range.count();
  return taken(x, shape, slab_indices(x.shape, range));
}

std::vector<std::int64_t> optional_integers(const Folding& fold, std::size_t index) {
  return fold.has_input(index) ? fold.integers(index) : std::vector<std::int64_t>();
}

}  // namespace

const Literal& Folding::input(std::size_t index) const {
  if (!has_input(index)) throw std::invalid_argument("input " + std::to_string(index) + " is absent");
  return *inputs[index];
}

const std::vector<std::int64_t>& Folding::integers(std::size_t index) const {
  if (input(index).is_real()) throw std::invalid_argument("input " + std::to_string(index) + " holds floats");
  return input(index).integers;
}

std::vector<std::int64_t> integers_of(const Folding& fold, std::size_t index, std::string_view attribute) {
  return fold.has_input(index) ? fold.integers(index) : fold.node.integers(attribute);
}

std::vector<Literal> fold_identity(const Folding& fold) { return {fold.input(0)}; }

std::vector<Literal> fold_reshape(const Folding& fold) {
  const Literal& x = fold.input(0);
  const bool allow_zero = fold.node.integer("allowzero", 0) != 0;
  return reshaped(x, reshape_shape(x.shape, fold.integers(1), allow_zero));
}

std::vector<Literal> fold_flatten(const Folding& fold) {
  return reshaped(fold.input(0), flatten_shape(fold.input(0).shape, fold.node.integer("axis", 1)));
}

std::vector<Literal> fold_squeeze(const Folding& fold) {
  return reshaped(fold.input(0), squeeze_shape(fold.input(0).shape, integers_of(fold, 1, "axes")));
}

std::vector<Literal> fold_unsqueeze(const Folding& fold) {
  return reshaped(fold.input(0), unsqueeze_shape(fold.input(0).shape, integers_of(fold, 1, "axes")));
}

std::vector<Literal> fold_transpose(const Folding& fold) {
  const Literal& x = fold.input(0);
  const auto perm = normalize_perm(x.shape, fold.node.integers("perm"));
  const auto strides = strides_of(x.shape);
  Shape shape;
  for (const std::int64_t dim : perm) shape.push_back(x.shape[static_cast<int>(dim)]);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(x.num_elements()));
  for (std::size_t flat = 0; flat < indices.size(); ++flat) {
    auto rest = static_cast<std::int64_t>(flat);
    for (int dim = shape.rank() - 1; dim >= 0; --dim) {
      indices[flat] += rest % shape[dim] * strides[static_cast<std::size_t>(perm[static_cast<std::size_t>(dim)])];
      rest /= shape[dim];
    }
  }
  return single_output(taken(x, shape, indices));
}

std::vector<Literal> fold_expand(const Folding& fold) {
  const Literal& x = fold.input(0);
  std::vector<std::int64_t> target = fold.integers(1);
  if (fold.batch != nullptr) {
    target = fold.batch->expanded(fold.node.input(0), x.shape, std::move(target), fold.is_target_written);
  }
  const Shape shape = expand_shape(x.shape, target);
  return single_output(broadcast_to(x, shape));
}

std::vector<Literal> fold_concat(const Folding& fold) {
  const int axis = fold.input(0).shape.normalize(fold.node.integer("axis", 0));
  Literal result{fold.input(0).dtype, fold.input(0).shape, {}, {}};
  result.shape[axis] = 0;
  for (std::size_t i = 0; i < fold.inputs.size(); ++i) {
    Shape shape = fold.input(i).shape;
    if (shape.rank() <= axis || fold.input(i).is_real() != result.is_real()) {
      throw std::invalid_argument("input " + std::to_string(i) + " does not fit the others");
    }
    const std::int64_t extent = std::exchange(shape[axis], result.shape[axis]);
    if (shape != result.shape) throw std::invalid_argument("input " + std::to_string(i) + " does not fit the others");
    result.shape[axis] += extent;
  }
  check_literal_size(result.shape);
  for (std::int64_t block = 0; block < result.shape.product(0, axis); ++block) {
    for (const Literal* part : fold.inputs) {
      const std::int64_t run = part->shape.product(axis, part->shape.rank());
      for (auto at = static_cast<std::size_t>(block * run); at < static_cast<std::size_t>((block + 1) * run); ++at) {
        if (part->is_real()) {
          result.reals.push_back(part->reals[at]);
        } else {
          result.integers.push_back(part->integers[at]);
        }
      }
    }
  }
  return single_output(std::move(result));
}

std::vector<Literal> fold_split(const Folding& fold) {
  const Literal& x = fold.input(0);
  const int axis = x.shape.normalize(fold.node.integer("axis", 0));
  const auto parts = static_cast<std::int64_t>(fold.node.outputs.size());
  std::vector<Literal> result;
  std::int64_t start = 0;
  for (const std::int64_t size : split_sizes(x.shape[axis], integers_of(fold, 1, "split"), parts)) {
    result.push_back(slab(x, {axis, start, start + size, 1}));
    start += size;
  }
  return result;
}

std::vector<Literal> fold_slice(const Folding& fold) {
  Literal x = fold.input(0);
  const auto ranges =
      slice_ranges(x.shape, fold.integers(1), fold.integers(2), optional_integers(fold, 3), optional_integers(fold, 4));
  for (const SliceRange& range : ranges) x = slab(x, range);
  return single_output(std::move(x));
}

std::vector<Literal> fold_gather(const Folding& fold) {
  const Literal& x = fold.input(0);
  const Literal& rows = fold.input(1);
  const int axis = x.shape.normalize(fold.node.integer("axis", 0));
  Shape shape;
  for (int dim = 0; dim < axis; ++dim) shape.push_back(x.shape[dim]);
  for (const std::int64_t extent : rows.shape) shape.push_back(extent);
  for (int dim = axis + 1; dim < x.shape.rank(); ++dim) shape.push_back(x.shape[dim]);
  check_literal_size(shape);
  const std::int64_t inner = x.shape.product(axis + 1, x.shape.rank());
  std::vector<std::int64_t> indices;
  for (std::int64_t block = 0; block < x.shape.product(0, axis); ++block) {
    for (const std::int64_t given : fold.integers(1)) {
      const std::int64_t row = given < 0 ? given + x.shape[axis] : given;
      if (row < 0 || row >= x.shape[axis]) {
        throw std::invalid_argument("index " + std::to_string(given) + " of " + std::to_string(x.shape[axis]) +
                                    " rows");
      }
      for (std::int64_t j = 0; j < inner; ++j) indices.push_back((block * x.shape[axis] + row) * inner + j);
    }
  }
  return single_output(taken(x, shape, indices));
}

std::vector<Literal> fold_trilu(const Folding& fold) {
  Literal x = fold.input(0);
  if (x.shape.rank() < 2) throw std::invalid_argument("input of shape " + x.shape.to_string() + " is no matrix");
  const std::int64_t given = fold.has_input(1) && fold.input(1).num_elements() == 1 ? fold.integers(1).at(0) : 0;
  const bool upper = fold.node.integer("upper", 1) != 0;
  const std::int64_t columns = x.shape.back();
  const std::int64_t rows = x.shape[x.shape.rank() - 2];
  const std::int64_t diagonal = std::clamp(given, -rows, columns);
  for (std::int64_t row = 0; row * columns < x.num_elements(); ++row) {
    const std::int64_t on_diagonal = row % rows + diagonal;
    const std::int64_t begin = upper ? 0 : std::clamp<std::int64_t>(on_diagonal + 1, 0, columns);
    const std::int64_t end = upper ? std::clamp<std::int64_t>(on_diagonal, 0, columns) : columns;
    if (x.is_real()) {
      std::fill(x.reals.begin() + row * columns + begin, x.reals.begin() + row * columns + end, 0.0);
    } else {
      std::fill(x.integers.begin() + row * columns + begin, x.integers.begin() + row * columns + end, 0);
    }
  }
  return single_output(std::move(x));
}

}  // namespace dml
