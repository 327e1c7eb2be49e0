// Sums over any dims of a tensor: ReduceSum, ReduceMean, and the gradient of a broadcast.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/tensor.h"

namespace dml {

/// A tensor as [kept outer dims] × [reduced outer dims] × inner, where the innermost group of dims is either reduced as
/// a whole (the result has one element per kept index) or kept as a whole (it has `inner`).
struct ReducePlan {
  struct Dims {
    int rank = 0;
    std::array<std::int64_t, Shape::kMaxRank> extents{};
    std::array<std::int64_t, Shape::kMaxRank> strides{};  ///< in elements of the operand
    std::int64_t count = 1;                               ///< product of the extents
  };
  Dims kept;
  Dims reduced;
  std::int64_t inner = 1;
  bool inner_is_reduced = false;
};

/// The plan of summing `x` over `axes` (negative ones count from the end). Throws std::invalid_argument.
ReducePlan plan_reduce(const Shape& x, std::span<const std::int64_t> axes);
/// The plan of summing `x` over the dims along which `y` was broadcast to it. Throws std::invalid_argument with both.
ReducePlan plan_sum_to(const Shape& y, const Shape& x);

}  // namespace dml

namespace dml::cpu {

/// y = factor · Σ x over the reduced dims, summed in double. y must not overlap x.
void reduce_sum(float* y, const float* x, const ReducePlan& plan, double factor);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// T: float, bf16. Groups of elements are summed side by side, and their sums in order.
template <typename T>
void reduce_sum(T* y, const T* x, const ReducePlan& plan, double factor, const Queue& queue);

}  // namespace dml::cuda
