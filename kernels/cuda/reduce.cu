// Sums along rows: a warp or a block takes what one element of the result is made of, or a part of it; in double, which
// costs nothing here, as memory sets the pace. Sums down columns: device/column_sums.cuh.
#include "kernels/reduce.h"

#include "kernels/cuda/device/column_sums.cuh"
#include "kernels/cuda/device/index.cuh"
#include "kernels/cuda/device/team.cuh"

namespace dml::cuda {

/// What a result of `rows` × `row` elements is made of, in packs.
struct RowSums {
  StridedDims<1> kept;
  StridedDims<1> reduced;
  std::int64_t count = 0;  ///< of results
  std::uint32_t packs = 0;
  Divisor packs_of_row;
  int groups = 1;
  double factor = 1;
};

namespace kernels {

template <int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock) sum_rows(T* y, const T* x, RowSums sums, double* of_groups) {
  using Row = Team<kThreads>;
  const std::int64_t result = Row::row();
  if (result >= sums.count) return;
  std::int64_t begin[1] = {0};
  sums.kept.locate(static_cast<std::uint32_t>(result), begin);
  const auto first = static_cast<std::uint32_t>(std::uint64_t{sums.packs} * blockIdx.y / sums.groups);
  const auto last = static_cast<std::uint32_t>(std::uint64_t{sums.packs} * (blockIdx.y + 1) / sums.groups);

  double total = 0;
  for (std::uint32_t pack = first + Row::thread(); pack < last; pack += kThreads) {
    const std::uint32_t row = sums.packs_of_row.quotient(pack);
    std::int64_t at[1] = {begin[0]};
    sums.reduced.locate(row, at);
    const auto elems = load_pack<kElems>(x + at[0] + std::int64_t{pack - row * sums.packs_of_row.divisor} * kElems);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kElems; ++i) sum += number_of(elems.data[i]);
    total += static_cast<double>(sum);
  }
  total = Row::sum(total);
  if (Row::thread() != 0) return;
  if (sums.groups == 1) {
    y[result] = stored_as<T>(static_cast<float>(sums.factor * total));
  } else {
    of_groups[result * sums.groups + blockIdx.y] = total;
  }
}

template <typename T>
__global__ void __launch_bounds__(kWideRow) sum_row_groups(T* y, RowSums sums, const double* of_groups) {
  const std::int64_t result = std::int64_t{blockIdx.x} * kWideRow + threadIdx.x;
  if (result >= sums.count) return;
  double total = 0;
  for (int group = 0; group < sums.groups; ++group) total += of_groups[result * sums.groups + group];
  y[result] = stored_as<T>(static_cast<float>(sums.factor * total));
}

}  // namespace kernels

namespace ops {

template <typename T>
struct ReduceTerms {
  static constexpr int kSums = 1;
  T* y;
  const T* x;
  StridedDims<1> kept;
  StridedDims<1> reduced;
  std::int64_t inner;
  double factor;

  template <int kElems>
  __device__ __forceinline__ void add(float (&sums)[kSums][kElems], std::int64_t of, std::int64_t row,
                                      std::int64_t column) const {
    std::int64_t at[1] = {column};
    kept.locate(static_cast<std::uint32_t>(of), at);
    reduced.locate(static_cast<std::uint32_t>(row), at);
    const auto elems = load_pack<kElems>(x + at[0]);
#pragma unroll
    for (int i = 0; i < kElems; ++i) sums[0][i] += number_of(elems.data[i]);
  }
  __device__ __forceinline__ void finish(int, std::int64_t of, std::int64_t column, double total) const {
    y[of * inner + column] = stored_as<T>(static_cast<float>(factor * total));
  }
};

}  // namespace ops

namespace {

StridedDims<1> strided(const ReducePlan::Dims& dims) {
  StridedDims<1> walked;
  for (int dim = 0; dim < dims.rank; ++dim) {
    if (dims.extents[dim] > 0) walked.add(dims.extents[dim], {dims.strides[dim]});
  }
  indexable(dims.count);
  return walked;
}

/// Whether all rows of `inner` elements lie on the boundaries of packs.
template <typename T>
bool rows_are_packs(const T* x, const ReducePlan& plan) {
  const auto are_whole = [](const ReducePlan::Dims& dims) {
    return std::all_of(dims.strides.begin(), dims.strides.begin() + dims.rank,
                       [](std::int64_t stride) { return stride % kPackElems<T> == 0; });
  };
  return are_packs<T>(plan.inner, {x}) && are_whole(plan.kept) && are_whole(plan.reduced);
}

/// Groups that a result is cut into where there are few of them.
int row_groups(std::int64_t results, std::int64_t elems) {
  constexpr std::int64_t kEnoughResults = 512, kElemsThatPay = 8192, kMaxGroups = 64;
  if (results >= kEnoughResults) return 1;
  return static_cast<int>(std::clamp(elems / kElemsThatPay, std::int64_t{1}, kMaxGroups));
}

// A function of its own: GCC 12 leaves kernels out that only a generic lambda names, without its parameters.
template <typename T>
void add_row_groups(T* y, const RowSums& sums, const double* of_groups, const Queue& queue) {
  launch<kernels::sum_row_groups<T>>(blocks_of(sums.count, kWideRow), kWideRow, 0, queue, y, sums, of_groups);
}

template <typename T>
void reduce_rows(T* y, const T* x, const ReducePlan& plan, double factor, const Queue& queue) {
  const std::int64_t elems = plan.reduced.count * plan.inner;
  for_row_width<T>(elems, rows_are_packs(x, plan), [&](auto threads, auto elems_of_pack) {
    using Row = Team<threads>;
    const std::int64_t packs_of_row = plan.inner / elems_of_pack;
    RowSums sums;
    sums.kept = strided(plan.kept);
    sums.reduced = strided(plan.reduced);
    sums.count = plan.kept.count;
    sums.packs = static_cast<std::uint32_t>(indexable(plan.reduced.count * packs_of_row));
    if (sums.packs > 0) sums.packs_of_row = Divisor(packs_of_row);
    sums.groups = row_groups(sums.count, elems);
    sums.factor = factor;
    double* const of_groups = sums.groups > 1 ? workspace<double>(queue, sums.count * sums.groups) : nullptr;
    const dim3 grid(blocks_of(sums.count, Row::kRows), static_cast<unsigned>(sums.groups));
    launch<kernels::sum_rows<threads, elems_of_pack, T>>(grid, Row::kBlock, 0, queue, y, x, sums, of_groups);
    if (sums.groups > 1) add_row_groups(y, sums, of_groups, queue);
  });
}

}  // namespace

template <typename T>
void reduce_sum(T* y, const T* x, const ReducePlan& plan, double factor, const Queue& queue) {
  if (plan.inner_is_reduced) return reduce_rows(y, x, plan, factor, queue);
  const ops::ReduceTerms<T> terms{y, x, strided(plan.kept), strided(plan.reduced), plan.inner, factor};
  if (rows_are_packs(x, plan)) {
    sum_columns<kPackElems<T>>(terms, plan.kept.count, plan.reduced.count, plan.inner, queue);
  } else {
    sum_columns<1>(terms, plan.kept.count, plan.reduced.count, plan.inner, queue);
  }
}

template void reduce_sum(float*, const float*, const ReducePlan&, double, const Queue&);
template void reduce_sum(bf16*, const bf16*, const ReducePlan&, double, const Queue&);

}  // namespace dml::cuda
