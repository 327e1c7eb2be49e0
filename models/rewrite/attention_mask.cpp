#include "models/rewrite/attention_mask.h"

#include <cmath>
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
  const std::int64_t width = mask.shape.back();
  for (std::int64_t row = 0; row < mask.shape.product(0, 3); ++row) {
    bool sees = false;
    for (std::int64_t i = 0; i < width; ++i) {
      sees = sees || mask.elements[static_cast<std::size_t>(row * width + i)] > kMasked;
    }
    if (!sees) return false;
  }
  return true;
}

std::optional<MaskedScores> match_add(const Graph& graph, const Node& node) {
  for (const std::size_t index : {std::size_t{0}, std::size_t{1}}) {
    const ValueId mask = node.inputs[index];
    const ValueId scores = node.inputs[1 - index];
    if (!is_known_constant(graph, mask)) continue;
    const auto shape = of_rank_four(graph.shape(mask), graph.shape(scores));
    if (!shape) return std::nullopt;
    return MaskedScores{scores, {*shape, elements_of(graph, mask)}};
  }
  return std::nullopt;
}

std::optional<MaskedScores> match_where(const Graph& graph, const Node& node) {
  const ValueId condition = node.inputs[0];
  if (!is_known_constant(graph, condition)) return std::nullopt;
  for (const std::size_t index : {std::size_t{1}, std::size_t{2}}) {
    const auto fill = uniform_value(graph, node.inputs[index]);
    const ValueId scores = node.inputs[3 - index];
    if (!fill || *fill > kMasked) continue;
    const auto shape = of_rank_four(graph.shape(condition), graph.shape(scores));
    if (!shape || graph.shape(node.outputs[0]) != graph.shape(scores)) return std::nullopt;
    AttentionMask mask{*shape, elements_of(graph, condition)};
    for (float& element : mask.elements) {
      const bool is_filled = (element != 0) == (index == 1);
      element = is_filled ? -std::numeric_limits<float>::infinity() : 0.0F;
    }
    if (!leaves_something(mask)) return std::nullopt;
    return MaskedScores{scores, std::move(mask)};
  }
  return std::nullopt;
}

}  // namespace

bool AttentionMask::is_causal(std::int64_t num_queries, std::int64_t num_keys) const {
  if (num_queries != num_keys || shape[2] != num_queries || shape[3] != num_keys) return false;
  for (std::size_t index = 0; index < elements.size(); ++index) {
    const auto at = static_cast<std::int64_t>(index);
    const bool is_later = at % num_keys > at / num_keys % num_queries;
    if (is_later ? elements[index] > kMasked : elements[index] != 0) return false;
  }
  return true;
}

std::optional<MaskedScores> match_mask(const Matcher& matcher, const Node& node) {
  if (node.op->name == "Add") return match_add(matcher.graph(), node);
  if (node.op->name == "Where") return match_where(matcher.graph(), node);
  return std::nullopt;
}

}  // namespace dml
