#include "models/rewrite/attention_mask.h"

#include <algorithm>
#include <limits>

#include "models/constants.h"
#include "models/op.h"

namespace dml {
namespace {

constexpr float kMasked = -1e4F;

/// `shape` with dims of extent 1 in front up to rank 4; scores of rank 3 are one head's.
std::optional<Shape> of_rank_four(const Shape& shape, const Shape& scores) {
  if (shape.rank() > scores.rank() || broadcast(shape, scores) != scores) return std::nullopt;
  const bool has_joint_batch = scores.rank() == 3 && shape.rank() == 3 && shape[0] != 1;
  if (scores.rank() < 3 || scores.rank() > 4 || has_joint_batch) return std::nullopt;
  Shape result;
  for (int dim = shape.rank(); dim < 4; ++dim) result.push_back(1);
  for (const std::int64_t extent : shape) result.push_back(extent);
  return result;
}

/// Whether every row along the last dim has an element that is not masked.
bool leaves_something(const AttentionMask& mask) {
  const std::int64_t width = mask.shape().back();
  for (auto row = mask.elements().begin(); row != mask.elements().end(); row += width) {
    if (std::all_of(row, row + width, [](float element) { return element <= kMasked; })) return false;
  }
  return true;
}

/// Whether every row of square matrices is 0 up to the diagonal and masked behind it.
bool is_lower_triangle(const Shape& shape, const std::vector<float>& elements) {
  const std::int64_t width = shape[3];
  if (shape[2] != width) return false;
  auto row = elements.begin();
  for (std::int64_t i = 0; row != elements.end(); ++i, row += width) {
    const auto behind = row + i % width + 1;
    if (std::any_of(row, behind, [](float element) { return element != 0; })) return false;
    if (std::any_of(behind, row + width, [](float element) { return element > kMasked; })) return false;
  }
  return true;
}

std::vector<float> filled(std::vector<float> condition, bool where_true) {
  for (float& element : condition) {
    const bool is_filled = (element != 0) == where_true;
    element = is_filled ? -std::numeric_limits<float>::infinity() : 0.0F;
  }
  return condition;
}

}  // namespace

AttentionMask::AttentionMask(const Shape& shape, std::vector<float> elements)
    : shape_(shape), elements_(std::move(elements)), is_lower_triangle_(is_lower_triangle(shape_, elements_)) {}

std::optional<MaskedScores> MaskMatcher::match(const Node& node) {
  if (node.op->name == "Add") return match_add(node);
  if (node.op->name == "Where") return match_where(node);
  return std::nullopt;
}

std::optional<MaskedScores> MaskMatcher::match_add(const Node& node) {
  for (const std::size_t index : {std::size_t{0}, std::size_t{1}}) {
    const ValueId mask = node.inputs[index];
    const ValueId scores = node.inputs[1 - index];
    if (!is_known_constant(graph_, mask)) continue;
    const auto shape = of_rank_four(graph_.shape(mask), graph_.shape(scores));
    if (!shape) return std::nullopt;
    return MaskedScores{scores, read(mask, Kind::added, *shape)};
  }
  return std::nullopt;
}

std::optional<MaskedScores> MaskMatcher::match_where(const Node& node) {
  const ValueId condition = node.inputs[0];
  if (!is_known_constant(graph_, condition)) return std::nullopt;
  for (const std::size_t index : {std::size_t{1}, std::size_t{2}}) {
    const auto fill = uniform_value(graph_, node.inputs[index]);
    const ValueId scores = node.inputs[3 - index];
    if (!fill || *fill > kMasked) continue;
    const auto shape = of_rank_four(graph_.shape(condition), graph_.shape(scores));
    if (!shape || graph_.shape(node.outputs[0]) != graph_.shape(scores)) return std::nullopt;
    auto mask = read(condition, index == 1 ? Kind::filled_where_true : Kind::filled_where_false, *shape);
    return mask == nullptr ? std::nullopt : std::optional(MaskedScores{scores, std::move(mask)});
  }
  return std::nullopt;
}

std::shared_ptr<const AttentionMask> MaskMatcher::read(ValueId constant, Kind kind, const Shape& shape) {
  const auto [place, is_new] = masks_.try_emplace({constant, kind});
  if (!is_new) return place->second;
  std::vector<float> elements = elements_of(graph_, constant);
  if (kind != Kind::added) elements = filled(std::move(elements), kind == Kind::filled_where_true);
  auto mask = std::make_shared<const AttentionMask>(shape, std::move(elements));
  if (kind == Kind::added || leaves_something(*mask)) place->second = std::move(mask);
  return place->second;
}

}  // namespace dml
