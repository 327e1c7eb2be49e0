// How operands of different shapes meet in one loop nest: NumPy's broadcast with as few dims as possible.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/tensor.h"

namespace dml {

/// Extents of the result, outermost first, and for each operand its strides in elements, 0 where it is broadcast. Dims
/// of extent 1 are gone, and neighbours that every operand walks alike are one. rank ≥ 1; in the last dim each stride
/// is 0 or 1. Equal shapes make one dim; a row against a matrix two.
struct BroadcastPlan {
  static constexpr int kMaxOperands = 3;

  int rank = 1;
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  std::array<std::array<std::int64_t, Shape::kMaxRank>, kMaxOperands> strides{};
};

/// The plan of up to three operands that are broadcast to `result`. Throws std::invalid_argument with the shapes where
/// an operand does not fit.
BroadcastPlan plan_broadcast(const Shape& result, std::span<const Shape> operands);

}  // namespace dml
