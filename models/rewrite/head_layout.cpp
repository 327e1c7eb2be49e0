#include "models/rewrite/head_layout.h"

#include "models/op.h"

namespace dml {

HeadLayout::HeadLayout(const Extents& extents, Dims dims) : extents_(extents) {
  for (const auto& parts : dims) dims_.push_back(visible(parts));
}

std::vector<Part> HeadLayout::visible(const std::vector<Part>& parts) const {
  std::vector<Part> result;
  for (const Part part : parts) {
    if (extent(part) != 1) result.push_back(part);
  }
  return result;
}

std::optional<HeadLayout> HeadLayout::after(const Graph& graph, const Node& node) const {
  if (node.op->name == "Reshape") return reshaped(graph.shape(node.outputs[0]));
  if (node.op->name != "Transpose") return std::nullopt;
  Dims dims;
  const Shape& from = graph.shape(node.inputs[0]);
  for (const std::int64_t dim : node.attrs.integers("perm")) {
    dims.push_back(dims_[static_cast<std::size_t>(from.normalize(dim))]);
  }
  return HeadLayout(extents_, std::move(dims));
}

std::optional<HeadLayout> HeadLayout::reshaped(const Shape& shape) const {
  std::vector<Part> all;
  for (const auto& parts : dims_) all.insert(all.end(), parts.begin(), parts.end());
  Dims dims;
  std::size_t next = 0;
  for (const std::int64_t wanted : shape) {
    std::vector<Part> parts;
    std::int64_t reached = 1;
    while (reached < wanted && next < all.size()) {
      reached *= extent(all[next]);
      parts.push_back(all[next++]);
    }
    if (reached != wanted) return std::nullopt;
    dims.push_back(std::move(parts));
  }
  if (next != all.size()) return std::nullopt;
  return HeadLayout(extents_, std::move(dims));
}

bool HeadLayout::has_dims(const Dims& dims) const { return HeadLayout(extents_, dims).dims_ == dims_; }

bool HeadLayout::has_order(const std::vector<Part>& order) const {
  std::vector<Part> all;
  for (const auto& parts : dims_) all.insert(all.end(), parts.begin(), parts.end());
  return all == visible(order);
}

}  // namespace dml
