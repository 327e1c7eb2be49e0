// How the dims of attention's operands come from [B, T, H D]: followed symbolically through Reshape and Transpose, so
// that any spelling of "split into heads" is recognised.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "models/graph.h"

namespace dml {

/// The parts that dims are made of: batch, positions, heads, head width.
enum class Part : std::uint8_t { batch, position, head, width };

/// For each dim the parts that it runs through, outermost first; parts of extent 1 stand nowhere.
class HeadLayout {
 public:
  using Extents = std::array<std::int64_t, 4>;  ///< by Part
  using Dims = std::vector<std::vector<Part>>;

  HeadLayout(const Extents& extents, Dims dims);

  /// The layout behind a Reshape or Transpose; nothing where a part would be cut, or the node is another one.
  std::optional<HeadLayout> after(const Graph& graph, const Node& node) const;
  bool has_dims(const Dims& dims) const;
  /// Whether the elements lie as in `order`, whatever the dims are.
  bool has_order(const std::vector<Part>& order) const;

 private:
  std::optional<HeadLayout> reshaped(const Shape& shape) const;
  std::vector<Part> visible(const std::vector<Part>& parts) const;
  std::int64_t extent(Part part) const { return extents_[static_cast<std::size_t>(part)]; }

  Extents extents_;
  Dims dims_;
};

}  // namespace dml
