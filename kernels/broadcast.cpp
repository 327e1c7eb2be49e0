#include "kernels/broadcast.h"

#include <stdexcept>

#include "kernels/error.h"

namespace dml {
namespace {

/// Strides of `operand` in the dims of `result`.
std::array<std::int64_t, Shape::kMaxRank> broadcast_strides(const Shape& result, const Shape& operand) {
  const auto dense = strides_of(operand);
  const int missing = result.rank() - operand.rank();
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  for (int dim = 0; dim < operand.rank(); ++dim) {
    const std::int64_t extent = missing < 0 ? -1 : result[dim + missing];
    if (operand[dim] != extent && (operand[dim] != 1 || missing < 0)) {
      throw std::invalid_argument("[broadcast] " + operand.to_string() + " does not broadcast to " +
                                  result.to_string());
    }
    const bool walks = operand[dim] == extent && extent != 1;
    strides[static_cast<std::size_t>(dim + missing)] = walks ? dense[static_cast<std::size_t>(dim)] : 0;
  }
  return strides;
}

}  // namespace

BroadcastPlan plan_broadcast(const Shape& result, std::span<const Shape> operands) {
  DML_ASSERT(operands.size() <= BroadcastPlan::kMaxOperands, std::to_string(operands.size()) + " operands");
  std::array<std::array<std::int64_t, Shape::kMaxRank>, BroadcastPlan::kMaxOperands> strides{};
  for (std::size_t i = 0; i < operands.size(); ++i) strides[i] = broadcast_strides(result, operands[i]);

  BroadcastPlan plan;
  plan.rank = 0;
  for (std::size_t dim = 0; dim < static_cast<std::size_t>(result.rank()); ++dim) {
    const std::int64_t extent = result[static_cast<int>(dim)];
    if (extent == 1) continue;
    bool joins = plan.rank > 0;
    const auto last = static_cast<std::size_t>(plan.rank - 1);
    for (std::size_t i = 0; i < operands.size() && joins; ++i) {
      joins = plan.strides[i][last] == strides[i][dim] * extent;
    }
    const auto at = joins ? last : static_cast<std::size_t>(plan.rank++);
    plan.extents[at] = joins ? plan.extents[at] * extent : extent;
    for (std::size_t i = 0; i < operands.size(); ++i) plan.strides[i][at] = strides[i][dim];
  }
  if (plan.rank == 0) {
    plan.rank = 1;
    plan.extents[0] = 1;
  }
  return plan;
}

}  // namespace dml
