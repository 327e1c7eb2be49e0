// Windows that slide over the spatial dims of convolutions and pools.
#pragma once

#include "models/ops/rules.h"

namespace dml::rules {

/// Strides, pads and dilations of a node, one per spatial dim; absent attributes mean 1, 0 and 1.
struct Window {
  std::vector<std::int64_t> kernel, strides, pads_begin, pads_end, dilations;
  bool ceil_mode = false;

  /// Number of places along spatial dim `dim` over an input extent.
  std::int64_t places(std::int64_t extent, int dim) const;
};

/// Reads the window of a node over `x` ([N, C, spatial...], one or two spatial dims) with the given kernel extents.
Window window_of(const Node& node, const Shape& x, std::span<const std::int64_t> kernel);
/// [N, channels, places...]; throws where the kernel does not fit into the padded input.
Shape slid_over(const Node& node, const Window& window, const Shape& x, std::int64_t channels);

}  // namespace dml::rules
