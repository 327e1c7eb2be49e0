#include "models/onnx/fold/shape_rules.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "models/onnx/tensor_payload.h"

namespace dml {
namespace {

[[noreturn]] void fail(const std::string& what) { throw std::invalid_argument(what); }

std::string text_of(std::span<const std::int64_t> values) {
  std::string text = "[";
  for (const std::int64_t value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

/// Marks `axes` of a tensor of `rank` dims; throws where one is outside or named twice.
std::vector<bool> marked(std::span<const std::int64_t> axes, int rank) {
  std::vector<bool> result(static_cast<std::size_t>(rank), false);
  for (std::int64_t axis : axes) {
    if (axis < -rank || axis >= rank) fail("axis " + std::to_string(axis) + " of " + std::to_string(rank) + " dims");
    if (axis < 0) axis += rank;
    if (result[static_cast<std::size_t>(axis)]) fail("axes " + text_of(axes) + " name one dim twice");
    result[static_cast<std::size_t>(axis)] = true;
  }
  return result;
}

}  // namespace

Shape reshape_shape(const Shape& input, std::span<const std::int64_t> target, bool allow_zero) {
  const auto mismatch = [&] { fail("shape " + input.to_string() + " cannot become " + text_of(target)); };
  std::vector<std::int64_t> extents(target.begin(), target.end());
  std::int64_t known = 1;
  int open = -1;
  if (target.size() > Shape::kMaxRank) mismatch();
  for (int dim = 0; dim < static_cast<int>(extents.size()); ++dim) {
    std::int64_t& extent = extents[static_cast<std::size_t>(dim)];
    if (extent == 0 && !allow_zero) {
      if (dim >= input.rank()) mismatch();
      extent = input[dim];
    }
    if (extent < -1 || extent > kMaxElements || (extent == -1 && open >= 0)) mismatch();
    if (extent == -1) {
      open = dim;
      continue;
    }
    if (extent > 0 && known > kMaxElements / extent) mismatch();
    known *= extent;
  }
  const std::int64_t elements = input.num_elements();
  if (open >= 0) {
    if (known == 0 || elements % known != 0) mismatch();
    extents[static_cast<std::size_t>(open)] = elements / known;
  } else if (known != elements) {
    mismatch();
  }
  return Shape(extents);
}

Shape flatten_shape(const Shape& input, std::int64_t axis) {
  const int rank = input.rank();
  if (axis < -rank || axis > rank) fail("axis " + std::to_string(axis) + " of " + input.to_string());
  const int first = static_cast<int>(axis < 0 ? axis + rank : axis);
  return {input.product(0, first), input.product(first, rank)};
}

Shape squeeze_shape(const Shape& input, std::span<const std::int64_t> axes) {
  const std::vector<bool> goes = marked(axes, input.rank());
  Shape result;
  for (int dim = 0; dim < input.rank(); ++dim) {
    const bool is_named = goes[static_cast<std::size_t>(dim)];
    if (is_named && input[dim] != 1) fail("dim " + std::to_string(dim) + " of " + input.to_string() + " is not 1");
    if (!is_named && !(axes.empty() && input[dim] == 1)) result.push_back(input[dim]);
  }
  return result;
}

Shape unsqueeze_shape(const Shape& input, std::span<const std::int64_t> axes) {
  const std::size_t rank = static_cast<std::size_t>(input.rank()) + axes.size();
  if (rank > Shape::kMaxRank) fail("axes " + text_of(axes) + " added to " + input.to_string() + " are over 8 dims");
  const std::vector<bool> is_new = marked(axes, static_cast<int>(rank));
  Shape result;
  int from = 0;
  for (const bool one : is_new) result.push_back(one ? 1 : input[from++]);
  return result;
}

Shape expand_shape(const Shape& input, std::span<const std::int64_t> target) {
  return broadcast(input, checked_shape(target, "target of Expand"));
}

std::vector<std::int64_t> normalize_axes(const Shape& input, std::span<const std::int64_t> axes) {
  std::vector<bool> is_in = marked(axes, input.rank());
  if (axes.empty()) is_in.assign(is_in.size(), true);
  std::vector<std::int64_t> result;
  for (std::size_t dim = 0; dim < is_in.size(); ++dim) {
    if (is_in[dim]) result.push_back(static_cast<std::int64_t>(dim));
  }
  return result;
}

std::vector<std::int64_t> normalize_perm(const Shape& input, std::vector<std::int64_t> perm) {
  if (perm.empty()) {
    perm.resize(static_cast<std::size_t>(input.rank()));
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  std::vector<std::int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<std::int64_t>(i)) fail("perm " + text_of(perm) + " is no permutation");
  }
  if (static_cast<int>(perm.size()) != input.rank()) fail("perm " + text_of(perm) + " of " + input.to_string());
  return perm;
}

std::int64_t SliceRange::count() const {
  if (step > 0) return start < end ? (end - start - 1) / step + 1 : 0;
  return start > end ? (start - end - 1) / -step + 1 : 0;
}

std::vector<SliceRange> slice_ranges(const Shape& input, std::span<const std::int64_t> starts,
                                     std::span<const std::int64_t> ends, std::span<const std::int64_t> axes,
                                     std::span<const std::int64_t> steps) {
  const std::size_t count = starts.size();
  const bool fits = ends.size() == count && (axes.empty() || axes.size() == count) &&
                    (steps.empty() || steps.size() == count) && count <= static_cast<std::size_t>(input.rank());
  if (!fits)
    fail("starts " + text_of(starts) + ", ends " + text_of(ends) + ", axes " + text_of(axes) + ", steps " +
         text_of(steps) + " of " + input.to_string());
  marked(axes, input.rank());
  std::vector<SliceRange> ranges;
  for (std::size_t i = 0; i < count; ++i) {
    SliceRange range;
    range.axis = axes.empty() ? static_cast<int>(i) : input.normalize(axes[i]);
    range.step = steps.empty() ? 1 : std::max(steps[i], -kMaxElements);
    if (range.step == 0) fail("a step of 0");
    const std::int64_t extent = input[range.axis];
    const std::int64_t lowest = range.step > 0 ? 0 : -1;
    const std::int64_t highest = range.step > 0 ? extent : extent - 1;
    const auto clamp = [&](std::int64_t at, std::int64_t low) {
      return std::clamp(at < 0 ? at + extent : at, low, std::max(low, highest));
    };
    range.start = clamp(starts[i], 0);
    range.end = clamp(ends[i], lowest);
    range.step = std::min(range.step, kMaxElements);
    if (extent == 0) range.start = range.end = 0;
    ranges.push_back(range);
  }
  return ranges;
}

std::vector<std::int64_t> split_sizes(std::int64_t extent, std::span<const std::int64_t> sizes, std::int64_t parts) {
  if (!sizes.empty()) {
    std::int64_t rest = extent;
    for (const std::int64_t size : sizes) {
      if (size < 0 || size > rest) fail("parts " + text_of(sizes) + " of " + std::to_string(extent));
      rest -= size;
    }
    if (rest != 0 || static_cast<std::int64_t>(sizes.size()) != parts) {
      fail("parts " + text_of(sizes) + " of " + std::to_string(extent) + " for " + std::to_string(parts) + " outputs");
    }
    return {sizes.begin(), sizes.end()};
  }
  if (parts <= 0) fail("no outputs");
  const std::int64_t largest = (extent + parts - 1) / parts;
  std::vector<std::int64_t> result(static_cast<std::size_t>(parts), largest);
  result.back() = extent - largest * (parts - 1);
  if (result.back() < 0) fail(std::to_string(extent) + " into " + std::to_string(parts) + " parts");
  return result;
}

}  // namespace dml
