// y = op(a, b, ...) element by element, with broadcasting: a thread makes one pack of the result. Packs that lie in a
// row share their place in the outer dims, which is found once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/broadcast.h"
#include "kernels/cuda/device/index.cuh"
#include "kernels/cuda/device/pack.cuh"

namespace dml::cuda {

inline constexpr int kMapThreads = 256;

/// A BroadcastPlan as the kernel reads it.
template <int kOperands>
struct MapPlan {
  std::int64_t row = 0;     ///< elements of the innermost dim
  std::uint32_t packs = 0;  ///< of the whole result
  Divisor packs_of_row;
  StridedDims<kOperands> outer;
  bool walks[kOperands] = {};  ///< in the innermost dim; otherwise one element stands for the row
};

/// `valid` ≤ kElems elements from p on; one for all where the operand is broadcast.
template <int kElems, typename T>
__device__ __forceinline__ Pack<T, kElems> load_operand(const T* p, bool walks, int valid) {
  if (walks && valid == kElems) return load_pack<kElems>(p);
  Pack<T, kElems> pack;
#pragma unroll
  for (int i = 0; i < kElems; ++i) pack.data[i] = p[walks && i < valid ? i : 0];
  return pack;
}

template <typename Y, int kElems, typename Op, typename... X>
__device__ __forceinline__ Pack<Y, kElems> apply(const Op& op, const Pack<X, kElems>&... operands) {
  Pack<Y, kElems> result;
#pragma unroll
  for (int i = 0; i < kElems; ++i) result.data[i] = stored_as<Y>(op(number_of(operands.data[i])...));
  return result;
}

template <int kElems, typename Y>
__device__ __forceinline__ void store_result(Y* y, const Pack<Y, kElems>& result, int valid) {
  if (valid == kElems) {
    store_pack<kElems>(y, result);
    return;
  }
#pragma unroll
  for (int i = 0; i < kElems; ++i) {
    if (i < valid) y[i] = result.data[i];
  }
}

/// Pack `pack` of the result.
template <int kElems, typename Op, typename Y, typename... X, std::size_t... kIndex>
__device__ __forceinline__ void map_pack(const Op& op, Y* y, const MapPlan<sizeof...(X)>& plan, std::uint32_t pack,
                                         std::index_sequence<kIndex...>, const X*... x) {
  const std::uint32_t row = plan.packs_of_row.quotient(pack);
  const std::int64_t column = std::int64_t{pack - row * plan.packs_of_row.divisor} * kElems;
  const int valid = plan.row - column < kElems ? static_cast<int>(plan.row - column) : kElems;
  std::int64_t offsets[sizeof...(X)] = {};
  plan.outer.locate(row, offsets);
  const auto result = apply<Y, kElems>(
      op, load_operand<kElems>(x + offsets[kIndex] + (plan.walks[kIndex] ? column : 0), plan.walks[kIndex], valid)...);
  store_result<kElems>(y + row * plan.row + column, result, valid);
}

namespace kernels {

template <int kElems, typename Op, typename Y, typename... X>
__global__ void __launch_bounds__(kMapThreads) map(Op op, Y* y, MapPlan<sizeof...(X)> plan, const X*... x) {
  const std::uint32_t pack = blockIdx.x * kMapThreads + threadIdx.x;
  if (pack < plan.packs) map_pack<kElems>(op, y, plan, pack, std::index_sequence_for<X...>{}, x...);
}

}  // namespace kernels

/// Packs of `elems` of a plan with this many rows; strides of the innermost dim are 0 or 1.
template <int kOperands>
MapPlan<kOperands> map_plan(const BroadcastPlan& plan, int elems) {
  const int last = plan.rank - 1;
  MapPlan<kOperands> map;
  map.row = plan.extents[last];
  std::int64_t rows = 1;
  for (int dim = 0; dim < last; ++dim) {
    std::array<std::int64_t, kOperands> strides{};
    for (int operand = 0; operand < kOperands; ++operand) strides[operand] = plan.strides[operand][dim];
    rows *= plan.extents[dim];
    if (plan.extents[dim] > 0) map.outer.add(plan.extents[dim], strides);
  }
  const std::int64_t packs_of_row = (map.row + elems - 1) / elems;
  map.packs = static_cast<std::uint32_t>(indexable(rows * packs_of_row));
  if (map.packs > 0) map.packs_of_row = Divisor(packs_of_row);
  for (int operand = 0; operand < kOperands; ++operand) map.walks[operand] = plan.strides[operand][last] != 0;
  return map;
}

/// Whether packs of `elems` lie on their boundaries in all rows of an operand.
template <typename T>
bool rows_are_packs(const T* data, const BroadcastPlan& plan, int operand, int elems) {
  const int last = plan.rank - 1;
  if (plan.strides[operand][last] == 0) return true;
  for (int dim = 0; dim < last; ++dim) {
    if (plan.strides[operand][dim] % elems != 0) return false;
  }
  return are_packs<T>(0, {data}, elems);
}

/// y = op(x...), the operands of the plan in this order. y may be an operand of its own shape.
template <typename Op, typename Y, typename... X>
void map_broadcast(const Op& op, const BroadcastPlan& plan, const Queue& queue, Y* y, const X*... x) {
  constexpr int kElems = kPackBytes / static_cast<int>(std::max({sizeof(Y), sizeof(X)...}));
  const bool whole_rows = plan.rank == 1 || plan.extents[plan.rank - 1] % kElems == 0;
  int operand = 0;
  const bool packed = whole_rows && are_packs<Y>(0, {y}, kElems) && (rows_are_packs(x, plan, operand++, kElems) && ...);
  const auto run = [&](auto elems) {
    const auto with = map_plan<sizeof...(X)>(plan, elems);
    launch<kernels::map<elems, Op, Y, X...>>(blocks_of(with.packs, kMapThreads), kMapThreads, 0, queue, op, y, with,
                                             x...);
  };
  if (packed) {
    run(std::integral_constant<int, kElems>{});
  } else {
    run(std::integral_constant<int, 1>{});
  }
}

/// The same of n elements without broadcasting.
template <typename Op, typename Y, typename... X>
void map_elements(const Op& op, std::int64_t n, const Queue& queue, Y* y, const X*... x) {
  BroadcastPlan plan;
  plan.extents[0] = n;
  for (auto& strides : plan.strides) strides[0] = 1;
  map_broadcast(op, plan, queue, y, x...);
}

}  // namespace dml::cuda
