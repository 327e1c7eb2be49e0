#include "kernels/cuda/bias.h"

#include <algorithm>

#include "kernels/bf16.h"
#include "kernels/cuda/device/index.cuh"

namespace dml::cuda {

inline constexpr int kBiasThreads = 256;

/// For fewer than 2^31 elements.
template <typename T>
__global__ void __launch_bounds__(kBiasThreads)
    put_bias_kernel(T* y, const T* bias, Divisor channels, Divisor inner, std::uint32_t n, bool accumulate) {
  const std::uint32_t i = blockIdx.x * kBiasThreads + threadIdx.x;
  if (i >= n) return;
  const std::uint32_t row = inner.quotient(i);
  const std::uint32_t channel = row - channels.quotient(row) * channels.divisor;
  const float before = accumulate ? to_float(y[i]) : 0.0F;
  y[i] = from_float<T>(before + (bias != nullptr ? to_float(bias[channel]) : 0.0F));
}

template <typename T>
void put_bias(T* y, const T* bias, std::int64_t outer, std::int64_t channels, std::int64_t inner, bool accumulate,
              const Queue& queue) {
  constexpr std::int64_t kMost = (std::int64_t{1} << 31) - kBiasThreads;
  const std::int64_t sample = channels * inner;
  if (outer * sample == 0) return;
  const std::int64_t at_once = std::max<std::int64_t>(kMost / sample, 1);
  for (std::int64_t first = 0; first < outer; first += at_once) {
    const std::int64_t n = std::min(at_once, outer - first) * sample;
    launch<put_bias_kernel<T>>(blocks_of(n, kBiasThreads), kBiasThreads, 0, queue, y + first * sample, bias,
                               Divisor(channels), Divisor(inner), static_cast<std::uint32_t>(n), accumulate);
  }
}

template void put_bias(float*, const float*, std::int64_t, std::int64_t, std::int64_t, bool, const Queue&);
template void put_bias(bf16*, const bf16*, std::int64_t, std::int64_t, std::int64_t, bool, const Queue&);

}  // namespace dml::cuda
