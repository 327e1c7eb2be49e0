#include "kernels/reduce.h"

#include <stdexcept>

namespace dml {
namespace {

struct Group {
  std::int64_t extent;
  std::int64_t stride;
  bool is_reduced;
};

/// Dims of extent 1 dropped, neighbours of one kind joined.
int group_dims(std::array<Group, Shape::kMaxRank>& groups, const Shape& x,
               const std::array<bool, Shape::kMaxRank>& is_reduced) {
  const auto strides = strides_of(x);
  int count = 0;
  for (int dim = 0; dim < x.rank(); ++dim) {
    const auto d = static_cast<std::size_t>(dim);
    if (x[dim] == 1) continue;
    Group* last = count > 0 ? &groups[static_cast<std::size_t>(count - 1)] : nullptr;
    if (last != nullptr && last->is_reduced == is_reduced[d]) {
      last->extent *= x[dim];
      last->stride = strides[d];
    } else {
      groups[static_cast<std::size_t>(count++)] = {x[dim], strides[d], is_reduced[d]};
    }
  }
  return count;
}

ReducePlan plan_of(const Shape& x, const std::array<bool, Shape::kMaxRank>& is_reduced) {
  std::array<Group, Shape::kMaxRank> groups{};
  const int count = group_dims(groups, x, is_reduced);
  ReducePlan plan;
  for (int index = 0; index < count; ++index) {
    const Group& group = groups[static_cast<std::size_t>(index)];
    if (index + 1 == count) {
      plan.inner = group.extent;
      plan.inner_is_reduced = group.is_reduced;
      break;
    }
    ReducePlan::Dims& dims = group.is_reduced ? plan.reduced : plan.kept;
    dims.extents[static_cast<std::size_t>(dims.rank)] = group.extent;
    dims.strides[static_cast<std::size_t>(dims.rank)] = group.stride;
    dims.count *= group.extent;
    ++dims.rank;
  }
  return plan;
}

}  // namespace

ReducePlan plan_reduce(const Shape& x, std::span<const std::int64_t> axes) {
  std::array<bool, Shape::kMaxRank> is_reduced{};
  for (const std::int64_t axis : axes) is_reduced[static_cast<std::size_t>(x.normalize(axis))] = true;
  return plan_of(x, is_reduced);
}

ReducePlan plan_sum_to(const Shape& y, const Shape& x) {
  const int missing = x.rank() - y.rank();
  std::array<bool, Shape::kMaxRank> is_reduced{};
  for (int dim = 0; dim < x.rank(); ++dim) {
    const std::int64_t extent = dim < missing ? 1 : y[dim - missing];
    is_reduced[static_cast<std::size_t>(dim)] = extent == 1 && x[dim] != 1;
    if (missing < 0 || (extent != x[dim] && extent != 1)) {
      throw std::invalid_argument("[sum_to] " + y.to_string() + " does not broadcast to " + x.to_string());
    }
  }
  return plan_of(x, is_reduced);
}

}  // namespace dml
