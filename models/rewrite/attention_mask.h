// Constant masks of attention scores.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "models/graph.h"
#include "models/rewrite/match.h"

namespace dml {

/// What is added to the scores: zeros and very negative numbers in most masks.
class AttentionMask {
 public:
  /// `shape` has rank 4, broadcast to [B, H, T, S].
  AttentionMask(const Shape& shape, std::vector<float> elements);

  const Shape& shape() const { return shape_; }
  const std::vector<float>& elements() const { return elements_; }
  /// Whether it lets position i see just the positions up to i.
  bool is_causal(std::int64_t num_queries, std::int64_t num_keys) const {
    return is_lower_triangle_ && shape_[2] == num_queries && shape_[3] == num_keys;
  }

 private:
  Shape shape_;
  std::vector<float> elements_;
  bool is_lower_triangle_;
};

/// A mask as it stands in a graph, and the scores before it.
struct MaskedScores {
  ValueId scores = kNone;
  std::shared_ptr<const AttentionMask> mask;
};

/// Finds the masks of a graph. The layers of a model share theirs, which are as large as the scores of a head: each is
/// read and looked at once.
class MaskMatcher {
 public:
  explicit MaskMatcher(const Matcher& matcher) : graph_(matcher.graph()) {}

  /// Matches Add of a known constant, and Where with a known condition and a fill of -1e4 or less. Nothing where `node`
  /// is neither, where the mask is larger than the scores, or where a row of a Where leaves nothing to see.
  std::optional<MaskedScores> match(const Node& node);

 private:
  enum class Kind : std::uint8_t { added, filled_where_true, filled_where_false };

  std::optional<MaskedScores> match_add(const Node& node);
  std::optional<MaskedScores> match_where(const Node& node);
  /// Null where a row leaves nothing to see.
  std::shared_ptr<const AttentionMask> read(ValueId constant, Kind kind, const Shape& shape);

  const Graph& graph_;
  std::map<std::pair<ValueId, Kind>, std::shared_ptr<const AttentionMask>> masks_;
};

}  // namespace dml
