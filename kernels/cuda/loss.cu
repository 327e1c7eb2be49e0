// Losses: a team of threads on each row of logits; each block sums its rows in double, and one last block the blocks'
// sums, in an order that follows from the shape.
#include "kernels/loss.h"

#include <algorithm>

#include "kernels/cuda/device/fault.cuh"
#include "kernels/cuda/device/map.cuh"
#include "kernels/cuda/device/online_softmax.cuh"
#include "kernels/cuda/device/workspace.h"

namespace dml::cuda {

inline constexpr std::int64_t kMaxLossBlocks = 1024;

namespace kernels {

/// loss = loss_scale · Σ of the blocks' sums.
__global__ void __launch_bounds__(kWideRow)
    weigh_sums(float* loss, const double* of_blocks, int blocks, const StepState* state) {
  double sum = 0;
  for (int block = static_cast<int>(threadIdx.x); block < blocks; block += kWideRow) sum += of_blocks[block];
  sum = reduce_block<kWideRow>(Sum{}, sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(static_cast<double>(state->loss_scale) * sum);
}

/// Whether the row is counted; notes a label that is no class.
__device__ inline bool is_counted(std::int64_t label, std::int64_t row, std::int64_t classes, Fault* fault) {
  if (label >= 0 && label < classes) return true;
  if (label != kIgnoredLabel) note_fault(fault, Fault::label, row, label, classes);
  return false;
}

template <int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    cross_entropy(double* of_blocks, float* lse, const T* logits, const std::int64_t* labels, std::int64_t rows,
                  std::int64_t classes, Fault* fault) {
  using Row = Team<kThreads>;
  double total = 0;
  for (std::int64_t row = Row::row(); row < rows; row += std::int64_t{gridDim.x} * Row::kRows) {
    const T* const x = logits + row * classes;
    const OnlineSoftmax statistics = softmax_statistics<kThreads, kElems>(x, classes);
    if (Row::thread() != 0) continue;
    const double log_sum = static_cast<double>(statistics.maximum) + log(static_cast<double>(statistics.sum));
    lse[row] = static_cast<float>(log_sum);
    const std::int64_t label = labels[row];
    if (is_counted(label, row, classes, fault)) total += log_sum - static_cast<double>(number_of(x[label]));
  }
  total = reduce_block<Row::kBlock>(Sum{}, total);
  if (threadIdx.x == 0) of_blocks[blockIdx.x] = total;
}

template <int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    cross_entropy_stats(float* stats, const T* logits, const std::int64_t* labels, std::int64_t rows,
                        std::int64_t classes, std::int64_t offset, std::int64_t whole, Fault* fault) {
  using Row = Team<kThreads>;
  const std::int64_t row = Row::row();
  if (row >= rows) return;
  const T* const x = logits + row * classes;
  const OnlineSoftmax statistics = softmax_statistics<kThreads, kElems>(x, classes);
  if (Row::thread() != 0) return;
  const std::int64_t label = labels[row];
  const std::int64_t here = label - offset;
  const bool holds_label = is_counted(label, row, whole, fault) && here >= 0 && here < classes;
  stats[row * 3] = statistics.maximum;
  stats[row * 3 + 1] = statistics.sum;
  stats[row * 3 + 2] = holds_label ? number_of(x[here]) : 0.0f;
}

__global__ void __launch_bounds__(kWideRow)
    cross_entropy_merge(double* of_blocks, float* lse, const float* stats, const std::int64_t* labels,
                        std::int64_t slices, std::int64_t rows) {
  double total = 0;
  const std::int64_t step = std::int64_t{gridDim.x} * kWideRow;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kWideRow + threadIdx.x; row < rows; row += step) {
    const auto stat = [&](std::int64_t slice, int which) { return stats[(slice * rows + row) * 3 + which]; };
    float maximum = stat(0, 0);
    for (std::int64_t slice = 1; slice < slices; ++slice) maximum = fmaxf(maximum, stat(slice, 0));
    double exps = 0;
    double logit = 0;
    for (std::int64_t slice = 0; slice < slices; ++slice) {
      const double shift = static_cast<double>(stat(slice, 0)) - static_cast<double>(maximum);
      exps += static_cast<double>(stat(slice, 1)) * exp(shift);
      logit += static_cast<double>(stat(slice, 2));
    }
    const double log_sum = static_cast<double>(maximum) + log(exps);
    lse[row] = static_cast<float>(log_sum);
    if (labels[row] != kIgnoredLabel) total += log_sum - logit;
  }
  total = reduce_block<kWideRow>(Sum{}, total);
  if (threadIdx.x == 0) of_blocks[blockIdx.x] = total;
}

template <int kThreads, int kElems, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock)
    cross_entropy_grad(T* dlogits, const T* logits, const std::int64_t* labels, const float* lse, std::int64_t rows,
                       std::int64_t classes, std::int64_t offset, const StepState* state) {
  const std::int64_t row = Team<kThreads>::row();
  if (row >= rows) return;
  const bool counts = labels[row] != kIgnoredLabel;
  const std::int64_t label = labels[row] - offset;
  const float shift = lse[row];
  const auto factor = static_cast<float>(state->loss_scale);
  for_each_pack<kThreads, kElems>(logits + row * classes, classes, [&](const Pack<T, kElems>& x, std::int64_t at) {
    Pack<T, kElems> result;
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      const float part = expf(number_of(x.data[i]) - shift) - (at + i == label ? 1.0f : 0.0f);
      result.data[i] = stored_as<T>(counts ? factor * part : 0.0f);
    }
    store_pack(dlogits + row * classes + at, result);
  });
}

template <int kElems, typename T>
__global__ void __launch_bounds__(kWideRow)
    squared_error(double* of_blocks, const T* x, const T* target, std::int64_t n) {
  double total = 0;
  const std::int64_t step = std::int64_t{gridDim.x} * kWideRow * kElems;
  for (std::int64_t at = (std::int64_t{blockIdx.x} * kWideRow + threadIdx.x) * kElems; at < n; at += step) {
    const auto a = load_pack<kElems>(x + at);
    const auto b = load_pack<kElems>(target + at);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kElems; ++i) {
      const float difference = number_of(a.data[i]) - number_of(b.data[i]);
      sum += difference * difference;
    }
    total += static_cast<double>(sum);
  }
  total = reduce_block<kWideRow>(Sum{}, total);
  if (threadIdx.x == 0) of_blocks[blockIdx.x] = total;
}

template <typename T>
__global__ void weighted_loss(float* loss, const T* x, const StepState* state) {
  *loss = static_cast<float>(state->loss_scale) * number_of(*x);
}
template <typename T>
__global__ void weighted_loss_grad(T* dx, const StepState* state) {
  *dx = stored_as<T>(static_cast<float>(state->loss_scale));
}

}  // namespace kernels

namespace ops {

struct SquaredErrorGrad {
  const StepState* state;
  __device__ float operator()(float x, float target) const {
    return 2.0f * static_cast<float>(state->loss_scale) * (x - target);
  }
};

}  // namespace ops

namespace {

/// Blocks for n things of which each takes `per_block` at a time: at least one, so that a sum of nothing is 0.
unsigned loss_blocks(std::int64_t n, std::int64_t per_block) {
  return static_cast<unsigned>(std::clamp<std::int64_t>(blocks_of(n, per_block), 1, kMaxLossBlocks));
}

void weigh_sums(float* loss, const double* of_blocks, unsigned blocks, const StepState* state, const Queue& queue) {
  launch<kernels::weigh_sums>(1, kWideRow, 0, queue, loss, of_blocks, static_cast<int>(blocks), state);
}

}  // namespace

template <typename T>
void cross_entropy(float* loss, float* lse, const T* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes, const StepState* state, const Queue& queue) {
  double* const of_blocks = workspace<double>(queue, kMaxLossBlocks);
  for_row_width<T>(classes, are_packs<T>(classes, {logits}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    const unsigned blocks = loss_blocks(rows, Row::kRows);
    launch<kernels::cross_entropy<threads, elems, T>>(blocks, Row::kBlock, 0, queue, of_blocks, lse, logits, labels,
                                                      rows, classes, queue.fault);
    weigh_sums(loss, of_blocks, blocks, state, queue);
  });
}

template <typename T>
void cross_entropy_stats(float* stats, const T* logits, const std::int64_t* labels, std::int64_t rows,
                         std::int64_t classes, std::int64_t offset, std::int64_t whole, const Queue& queue) {
  for_row_width<T>(classes, are_packs<T>(classes, {logits}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    launch<kernels::cross_entropy_stats<threads, elems, T>>(blocks_of(rows, Row::kRows), Row::kBlock, 0, queue, stats,
                                                            logits, labels, rows, classes, offset, whole, queue.fault);
  });
}

void cross_entropy_merge(float* loss, float* lse, const float* stats, const std::int64_t* labels, std::int64_t slices,
                         std::int64_t rows, const StepState* state, const Queue& queue) {
  double* const of_blocks = workspace<double>(queue, kMaxLossBlocks);
  const unsigned blocks = loss_blocks(rows, kWideRow);
  launch<kernels::cross_entropy_merge>(blocks, kWideRow, 0, queue, of_blocks, lse, stats, labels, slices, rows);
  weigh_sums(loss, of_blocks, blocks, state, queue);
}

template <typename T>
void cross_entropy_grad(T* dlogits, const T* logits, const std::int64_t* labels, const float* lse, std::int64_t rows,
                        std::int64_t classes, std::int64_t offset, const StepState* state, const Queue& queue) {
  for_row_width<T>(classes, are_packs<T>(classes, {dlogits, logits}), [&](auto threads, auto elems) {
    using Row = Team<threads>;
    launch<kernels::cross_entropy_grad<threads, elems, T>>(blocks_of(rows, Row::kRows), Row::kBlock, 0, queue, dlogits,
                                                           logits, labels, lse, rows, classes, offset, state);
  });
}

template <typename T>
void mean_squared_error(float* loss, const T* x, const T* target, std::int64_t n, const StepState* state,
                        const Queue& queue) {
  constexpr std::int64_t kPacksOfAThread = 4;
  double* const of_blocks = workspace<double>(queue, kMaxLossBlocks);
  const auto run = [&](auto elems) {
    const unsigned blocks = loss_blocks(n, kPacksOfAThread * kWideRow * elems);
    launch<kernels::squared_error<elems, T>>(blocks, kWideRow, 0, queue, of_blocks, x, target, n);
    weigh_sums(loss, of_blocks, blocks, state, queue);
  };
  if (are_packs<T>(n, {x, target})) {
    run(std::integral_constant<int, kPackElems<T>>{});
  } else {
    run(std::integral_constant<int, 1>{});
  }
}

template <typename T>
void mean_squared_error_grad(T* dx, const T* x, const T* target, std::int64_t n, const StepState* state,
                             const Queue& queue) {
  map_elements(ops::SquaredErrorGrad{state}, n, queue, dx, x, target);
}

template <typename T>
void weighted_loss(float* loss, const T* x, const StepState* state, const Queue& queue) {
  launch<kernels::weighted_loss<T>>(1, 1, 0, queue, loss, x, state);
}

template <typename T>
void weighted_loss_grad(T* dx, const StepState* state, const Queue& queue) {
  launch<kernels::weighted_loss_grad<T>>(1, 1, 0, queue, dx, state);
}

#define DML_INSTANTIATE(T)                                                                                           \
  template void cross_entropy(float*, float*, const T*, const std::int64_t*, std::int64_t, std::int64_t,             \
                              const StepState*, const Queue&);                                                       \
  template void cross_entropy_stats(float*, const T*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t, \
                                    std::int64_t, const Queue&);                                                     \
  template void cross_entropy_grad(T*, const T*, const std::int64_t*, const float*, std::int64_t, std::int64_t,      \
                                   std::int64_t, const StepState*, const Queue&);                                    \
  template void mean_squared_error(float*, const T*, const T*, std::int64_t, const StepState*, const Queue&);        \
  template void mean_squared_error_grad(T*, const T*, const T*, std::int64_t, const StepState*, const Queue&);       \
  template void weighted_loss(float*, const T*, const StepState*, const Queue&);                                     \
  template void weighted_loss_grad(T*, const StepState*, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
