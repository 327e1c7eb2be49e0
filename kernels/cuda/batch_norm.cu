// Own kernels: whether the batch's or the running statistics count is read from the step's state while they run, which
// cuDNN's calls decide on the host. A warp or a block per channel reads it three times (mean, squares, result), the
// later ones mostly from the cache. Sums are double: memory is slower.
#include "kernels/batch_norm.h"

#include "kernels/cuda/device/team.cuh"

namespace dml::cuda {
namespace normalizing {

/// body(index) for the elements of the channel that are this thread's.
template <int kThreads, typename Body>
__device__ void for_channel(std::int64_t channel, const BatchNormExtents& extents, const Body& body) {
  if (extents.inner == 0) return;
  const std::int64_t samples_per_step = kThreads / extents.inner;
  const std::int64_t rest_per_step = kThreads % extents.inner;
  std::int64_t sample = Team<kThreads>::thread() / extents.inner;
  std::int64_t offset = Team<kThreads>::thread() % extents.inner;
  while (sample < extents.batch) {
    body((sample * extents.channels + channel) * extents.inner + offset);
    sample += samples_per_step;
    offset += rest_per_step;
    if (offset >= extents.inner) {
      offset -= extents.inner;
      ++sample;
    }
  }
}

/// What y is made with: y = (x - mean) · factor + shift.
struct Scaling {
  float mean, factor, shift;
};

template <int kThreads>
__device__ Scaling by_running(const BatchNormStatistics& statistics, std::int64_t c, float scale, float shift,
                              float epsilon) {
  const float mean = statistics.mean[c];
  const float var = statistics.var[c];
  if (Team<kThreads>::thread() == 0 && statistics.next_mean != statistics.mean) {
    statistics.next_mean[c] = mean;
    statistics.next_var[c] = var;
  }
  return {mean, scale / sqrtf(var + epsilon), shift};
}

template <int kThreads, typename T>
__device__ Scaling by_batch(const BatchNormStatistics& statistics, const T* x, std::int64_t c,
                            const BatchNormExtents& extents, float scale, float shift, float epsilon, float momentum) {
  const std::int64_t n = extents.batch * extents.inner;
  const auto count = static_cast<double>(n);
  double sum = 0;
  for_channel<kThreads>(c, extents, [&](std::int64_t i) { sum += static_cast<double>(to_float(x[i])); });
  const auto mean = static_cast<float>(Team<kThreads>::sum(sum) / count);
  double squares = 0;
  for_channel<kThreads>(c, extents, [&](std::int64_t i) {
    const auto difference = static_cast<double>(to_float(x[i]) - mean);
    squares += difference * difference;
  });
  squares = Team<kThreads>::sum(squares);
  const auto rstd = static_cast<float>(1.0 / sqrt(squares / count + static_cast<double>(epsilon)));
  if (Team<kThreads>::thread() == 0) {
    const auto var = static_cast<float>(squares / (n > 1 ? count - 1 : 1));
    statistics.saved_mean[c] = mean;
    statistics.saved_rstd[c] = rstd;
    statistics.next_mean[c] = momentum * statistics.mean[c] + (1 - momentum) * mean;
    statistics.next_var[c] = momentum * statistics.var[c] + (1 - momentum) * var;
  }
  return {mean, rstd * scale, shift};
}

template <int kThreads, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock, 2)
    normalize(T* y, BatchNormStatistics statistics, const T* x, const T* scale, const T* bias, BatchNormExtents extents,
              float epsilon, float momentum, const StepState* state) {
  const std::int64_t c = Team<kThreads>::row();
  if (c >= extents.channels) return;
  const Scaling s = state->trains ? by_batch<kThreads>(statistics, x, c, extents, to_float(scale[c]), to_float(bias[c]),
                                                       epsilon, momentum)
                                  : by_running<kThreads>(statistics, c, to_float(scale[c]), to_float(bias[c]), epsilon);
  for_channel<kThreads>(
      c, extents, [&](std::int64_t i) { y[i] = from_float<T>(fmaf(to_float(x[i]) - s.mean, s.factor, s.shift)); });
}

template <int kThreads, typename T>
__global__ void __launch_bounds__(Team<kThreads>::kBlock, 2)
    normalize_grad(T* dx, T* dscale, T* dbias, const T* dy, const T* x, const T* scale, const float* saved_mean,
                   const float* saved_rstd, BatchNormExtents extents) {
  const std::int64_t c = Team<kThreads>::row();
  if (c >= extents.channels) return;
  const auto count = static_cast<double>(extents.batch * extents.inner);
  const float mean = saved_mean[c];
  const float rstd = saved_rstd[c];
  double sum = 0;
  double product = 0;
  for_channel<kThreads>(c, extents, [&](std::int64_t i) {
    const float gradient = to_float(dy[i]);
    sum += static_cast<double>(gradient);
    product += static_cast<double>(gradient * ((to_float(x[i]) - mean) * rstd));
  });
  sum = Team<kThreads>::sum(sum);
  product = Team<kThreads>::sum(product);
  if (Team<kThreads>::thread() == 0) {
    dbias[c] = from_float<T>(static_cast<float>(sum));
    dscale[c] = from_float<T>(static_cast<float>(product));
  }
  const auto mean_sum = static_cast<float>(sum / count);
  const auto mean_product = static_cast<float>(product / count) * rstd;
  const float factor = rstd * to_float(scale[c]);
  for_channel<kThreads>(c, extents, [&](std::int64_t i) {
    dx[i] = from_float<T>(factor * (to_float(dy[i]) - mean_sum - (to_float(x[i]) - mean) * mean_product));
  });
}

/// launch(threads), an integral constant, as suits the channels: each thread has some 8 elements or more.
template <typename Launch>
void for_channel_size(const BatchNormExtents& extents, const Launch& launch) {
  const std::int64_t n = extents.batch * extents.inner;
  if (n <= 256) return launch(std::integral_constant<int, kWarp>{});
  if (n <= 2048) return launch(std::integral_constant<int, 128>{});
  launch(std::integral_constant<int, 512>{});
}

}  // namespace normalizing

template <typename T>
void batch_norm(T* y, const BatchNormStatistics& statistics, const T* x, const T* scale, const T* bias,
                const BatchNormExtents& extents, float epsilon, float momentum, const StepState* state,
                const Queue& queue) {
  normalizing::for_channel_size(extents, [&](auto threads) {
    using Threads = Team<threads>;
    launch<normalizing::normalize<threads, T>>(blocks_of(extents.channels, Threads::kRows), Threads::kBlock, 0, queue,
                                               y, statistics, x, scale, bias, extents, epsilon, momentum, state);
  });
}

template <typename T>
void batch_norm_grad(T* dx, T* dscale, T* dbias, const T* dy, const T* x, const T* scale, const float* saved_mean,
                     const float* saved_rstd, const BatchNormExtents& extents, const Queue& queue) {
  normalizing::for_channel_size(extents, [&](auto threads) {
    using Threads = Team<threads>;
    launch<normalizing::normalize_grad<threads, T>>(blocks_of(extents.channels, Threads::kRows), Threads::kBlock, 0,
                                                    queue, dx, dscale, dbias, dy, x, scale, saved_mean, saved_rstd,
                                                    extents);
  });
}

#define DML_INSTANTIATE(T)                                                                                        \
  template void batch_norm(T*, const BatchNormStatistics&, const T*, const T*, const T*, const BatchNormExtents&, \
                           float, float, const StepState*, const Queue&);                                         \
  template void batch_norm_grad(T*, T*, T*, const T*, const T*, const T*, const float*, const float*,             \
                                const BatchNormExtents&, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
