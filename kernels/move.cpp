#include "kernels/move.h"

#include <stdexcept>

namespace dml {

Pieces pieces_of(const Shape& whole, int dim, std::int64_t extent) {
  const std::int64_t after = whole.product(dim + 1, whole.rank());
  return {whole.product(0, dim), extent * after, whole[dim] * after, extent * after};
}

TransposePlan plan_transpose(const Shape& x, std::span<const std::int64_t> perm) {
  const auto strides = strides_of(x);
  std::array<bool, Shape::kMaxRank> seen{};
  TransposePlan plan;
  if (static_cast<int>(perm.size()) != x.rank()) {
    throw std::invalid_argument("[transpose] " + std::to_string(perm.size()) + " dims in perm for a tensor of shape " +
                                x.to_string());
  }
  for (const std::int64_t entry : perm) {
    const int dim = x.normalize(entry);
    const auto d = static_cast<std::size_t>(dim);
    if (seen[d]) throw std::invalid_argument("[transpose] dim " + std::to_string(dim) + " stands twice in perm");
    seen[d] = true;
    if (x[dim] == 1) continue;
    const auto last = static_cast<std::size_t>(plan.rank - 1);
    if (plan.rank > 0 && plan.strides[last] == x[dim] * strides[d]) {
      plan.extents[last] *= x[dim];
      plan.strides[last] = strides[d];
    } else {
      plan.extents[static_cast<std::size_t>(plan.rank)] = x[dim];
      plan.strides[static_cast<std::size_t>(plan.rank++)] = strides[d];
    }
  }
  return plan;
}

}  // namespace dml
