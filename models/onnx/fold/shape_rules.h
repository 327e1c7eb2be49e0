// The shapes that ONNX's own attributes and inputs mean, for folding and lowering alike.
#pragma once

#include <optional>
#include <vector>

#include "kernels/tensor.h"

namespace dml {

/// All functions throw std::invalid_argument with the values where these do not fit.

/// Target of a Reshape with 0 (copied from the input unless `allow_zero`) and -1 resolved.
Shape reshape_shape(const Shape& input, std::span<const std::int64_t> target, bool allow_zero);
Shape flatten_shape(const Shape& input, std::int64_t axis);
/// Without axes: all dims of extent 1 go.
Shape squeeze_shape(const Shape& input, std::span<const std::int64_t> axes);
Shape unsqueeze_shape(const Shape& input, std::span<const std::int64_t> axes);
/// `input` broadcast against `target`, as Expand means it.
Shape expand_shape(const Shape& input, std::span<const std::int64_t> target);
/// Sorted, in [0, rank); all dims where `axes` is empty.
std::vector<std::int64_t> normalize_axes(const Shape& input, std::span<const std::int64_t> axes);
/// The dims reversed where `perm` is empty; throws unless it is a permutation.
std::vector<std::int64_t> normalize_perm(const Shape& input, std::vector<std::int64_t> perm);

/// One dim of a Slice with start and end clamped as ONNX says; step < 0 runs down to, not including, end ≥ -1.
struct SliceRange {
  int axis = 0;
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t step = 1;
  std::int64_t count() const;
};
std::vector<SliceRange> slice_ranges(const Shape& input, std::span<const std::int64_t> starts,
                                     std::span<const std::int64_t> ends, std::span<const std::int64_t> axes,
                                     std::span<const std::int64_t> steps);
/// Extents of the parts of a Split: `sizes` where given, else `parts` equal ones of which the last may be smaller.
std::vector<std::int64_t> split_sizes(std::int64_t extent, std::span<const std::int64_t> sizes, std::int64_t parts);

}  // namespace dml
