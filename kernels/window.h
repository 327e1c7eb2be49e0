// A window that slides over the spatial dims of convolutions and pools.
#pragma once

#include <array>
#include <cstdint>

namespace dml {

/// One entry per spatial dim, outermost first; of one spatial dim only the first counts.
struct Window {
  using Extents = std::array<std::int64_t, 2>;

  Extents kernel{1, 1};
  Extents strides{1, 1};
  Extents pads_begin{};
  Extents pads_end{};
  Extents dilations{1, 1};
};

}  // namespace dml
