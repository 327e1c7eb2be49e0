// How a divided graph grows with the samples of a microbatch: one graph and a slope for each of its numbers stand for
// the graphs of all sizes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "parallel/tensor/split.h"

namespace dml {

/// The numbers of a split graph, in this order: of each value the extents of its shape, the extents of the whole
/// value's shape, and outer, units and inner of its sharding; then of each node its integer attributes by name, lists
/// item by item.
struct SampleScale {
  std::vector<std::pair<std::int64_t, std::int64_t>> slopes;  ///< {index of a number, its growth by one sample}
  std::string obstacle;  ///< why the graphs of other sizes are not these; empty where they are
};

/// From the split graphs of three sizes that follow each other.
SampleScale find_scale(std::span<const SplitGraph> sizes);

/// The graph with `more` samples (fewer where negative). Throws ModelError where a slope names no number, or a number
/// would become negative.
SplitGraph scaled(const SplitGraph& split, const SampleScale& scale, std::int64_t more);

}  // namespace dml
