// Constant masks of attention scores.
#pragma once

#include <optional>

#include "models/graph.h"
#include "models/rewrite/match.h"

namespace dml {

/// What is added to the scores: zeros and very negative numbers in most masks.
struct AttentionMask {
  Shape shape;  ///< rank 4, broadcast to [B, H, T, S]
  std::vector<float> elements;

  /// Whether it lets position i see just the positions up to i.
  bool is_causal(std::int64_t num_queries, std::int64_t num_keys) const;
};

/// A mask as it stands in a graph, and the scores before it.
struct MaskedScores {
  ValueId scores = kNone;
  AttentionMask mask;
};

/// Matches Add of a known constant, and Where with a known condition and a fill of -1e4 or less. Nothing where `node`
/// is neither, where the mask is larger than the scores, or where a row of a Where leaves nothing to see.
std::optional<MaskedScores> match_mask(const Matcher& matcher, const Node& node);

}  // namespace dml
