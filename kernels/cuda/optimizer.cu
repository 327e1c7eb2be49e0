// Every thread derives the scalars of the update from the step's state, in double as the CPU does, and rounds them
// once.
#include "kernels/optimizer.h"

#include "kernels/cuda/device/range.cuh"
#include "kernels/cuda/device/team.cuh"
#include "kernels/cuda/device/workspace.h"
#include "kernels/tensor.h"

namespace dml::cuda {
namespace updating {

inline constexpr int kThreads = 256;
inline constexpr int kPerThread = 4;
inline constexpr std::int64_t kSumElems = 16384;  ///< of a block, but that no sum has more than kSumBlocks
inline constexpr std::int64_t kSumBlocks = 1024;

struct AdamScalars {
  float shrink, decay, blend1, beta2, blend2, root2, epsilon, minus_size, scale;

  __device__ AdamScalars(const AdamStep& step, const StepState& state)
      : shrink(static_cast<float>(1.0 - state.learning_rate * step.weight_decay)),
        decay(static_cast<float>(step.weight_decay)),
        blend1(static_cast<float>(1.0 - step.beta1)),
        beta2(static_cast<float>(step.beta2)),
        blend2(static_cast<float>(1.0 - step.beta2)),
        root2(static_cast<float>(sqrt(state.bias_correction2))),
        epsilon(static_cast<float>(step.epsilon)),
        minus_size(static_cast<float>(-state.learning_rate / state.bias_correction1)),
        scale(state.clip_factor) {}
};

template <bool kDecoupled>
__global__ void __launch_bounds__(kThreads) adam(float* weights, float* moment1, float* moment2, const float* gradients,
                                                 std::int64_t n, AdamStep step, const StepState* state) {
  const std::int64_t first = first_of_thread<kPerThread>();
  const AdamScalars s(step, *state);
  auto w = load_range<kPerThread>(weights, first, n);
  auto m = load_range<kPerThread>(moment1, first, n);
  auto v = load_range<kPerThread>(moment2, first, n);
  const auto g = load_range<kPerThread>(gradients, first, n);
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const float weight = kDecoupled ? w.data[k] * s.shrink : w.data[k];
    const float gradient = kDecoupled ? g.data[k] * s.scale : fmaf(s.decay, weight, g.data[k] * s.scale);
    m.data[k] = fmaf(s.blend1, gradient - m.data[k], m.data[k]);
    v.data[k] = fmaf(s.blend2 * gradient, gradient, v.data[k] * s.beta2);
    w.data[k] = weight + s.minus_size * m.data[k] / (sqrtf(v.data[k]) / s.root2 + s.epsilon);
  }
  store_range(weights, first, n, w);
  store_range(moment1, first, n, m);
  store_range(moment2, first, n, v);
}

__global__ void __launch_bounds__(kThreads)
    sgd(float* weights, float* velocity, const float* gradients, std::int64_t n, SgdStep step, const StepState* state) {
  const std::int64_t first = first_of_thread<kPerThread>();
  const auto decay = static_cast<float>(step.weight_decay);
  const auto momentum = static_cast<float>(step.momentum);
  const auto minus_rate = static_cast<float>(-state->learning_rate);
  const float scale = state->clip_factor;
  auto w = load_range<kPerThread>(weights, first, n);
  const auto g = load_range<kPerThread>(gradients, first, n);
  Pack<float, kPerThread> v{};
  if (momentum != 0.0F) v = load_range<kPerThread>(velocity, first, n);
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const float gradient = fmaf(decay, w.data[k], g.data[k] * scale);
    v.data[k] = momentum != 0.0F ? v.data[k] * momentum + gradient : gradient;
    w.data[k] = fmaf(minus_rate, step.nesterov ? fmaf(momentum, v.data[k], gradient) : v.data[k], w.data[k]);
  }
  store_range(weights, first, n, w);
  if (momentum != 0.0F) store_range(velocity, first, n, v);
}

/// partials[block] = Σ x² of the block's part of x.
__global__ void __launch_bounds__(kThreads) sum_parts(double* partials, const float* x, std::int64_t n) {
  const std::int64_t begin = part_begin(n, gridDim.x, blockIdx.x);
  const std::int64_t end = part_begin(n, gridDim.x, blockIdx.x + 1);
  double sum = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const auto value = static_cast<double>(x[i]);
    sum += value * value;
  }
  sum = reduce_block<kThreads>(Sum{}, sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

/// One warp.
__global__ void __launch_bounds__(kWarp) add_parts(double* sum, const double* partials, int count) {
  double total = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kWarp) total += partials[i];
  total = reduce_lanes(Sum{}, total);
  if (threadIdx.x == 0) *sum = total;
}

__global__ void clip(StepState* state, const double* sums, std::int64_t count, double max_norm) {
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += sums[i];
  const double factor = max_norm / (sqrt(total) + 1e-6);
  state->clip_factor = factor < 1.0 ? static_cast<float>(factor) : 1.0F;
}

__global__ void __launch_bounds__(kThreads) axpy(float* y, float factor, const float* x, std::int64_t n) {
  const std::int64_t first = first_of_thread<kPerThread>();
  auto out = load_range<kPerThread>(y, first, n);
  const auto in = load_range<kPerThread>(x, first, n);
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) out.data[k] = fmaf(factor, in.data[k], out.data[k]);
  store_range(y, first, n, out);
}

__global__ void __launch_bounds__(kThreads) scale(float* y, float factor, std::int64_t n) {
  const std::int64_t first = first_of_thread<kPerThread>();
  auto out = load_range<kPerThread>(y, first, n);
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) out.data[k] *= factor;
  store_range(y, first, n, out);
}

__global__ void __launch_bounds__(kThreads) fill(float* y, float value, std::int64_t n) {
  const std::int64_t first = first_of_thread<kPerThread>();
  Pack<float, kPerThread> out;
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) out.data[k] = value;
  store_range(y, first, n, out);
}

unsigned blocks_for(std::int64_t n) { return blocks_of(n, kThreads * kPerThread); }

}  // namespace updating

void sgd(float* weights, float* velocity, const float* gradients, std::int64_t n, const SgdStep& step,
         const StepState* state, const Queue& queue) {
  launch<updating::sgd>(updating::blocks_for(n), updating::kThreads, 0, queue, weights, velocity, gradients, n, step,
                        state);
}

void adam(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n, const AdamStep& step,
          const StepState* state, const Queue& queue) {
  launch<updating::adam<false>>(updating::blocks_for(n), updating::kThreads, 0, queue, weights, moment1, moment2,
                                gradients, n, step, state);
}

void adamw(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n, const AdamStep& step,
           const StepState* state, const Queue& queue) {
  launch<updating::adam<true>>(updating::blocks_for(n), updating::kThreads, 0, queue, weights, moment1, moment2,
                               gradients, n, step, state);
}

void sum_of_squares(double* sum, const float* x, std::int64_t n, const Queue& queue) {
  const std::int64_t wanted = (n + updating::kSumElems - 1) / updating::kSumElems;
  const auto blocks = static_cast<int>(wanted < updating::kSumBlocks ? wanted : updating::kSumBlocks);
  auto* const partials = workspace<double>(queue, blocks);
  launch<updating::sum_parts>(static_cast<unsigned>(blocks), updating::kThreads, 0, queue, partials, x, n);
  launch<updating::add_parts>(1, kWarp, 0, queue, sum, partials, blocks);
}

void clip_factor(StepState* state, const double* sums, std::int64_t count, double max_norm, const Queue& queue) {
  launch<updating::clip>(1, 1, 0, queue, state, sums, count, max_norm);
}

void axpy(float* y, float factor, const float* x, std::int64_t n, const Queue& queue) {
  launch<updating::axpy>(updating::blocks_for(n), updating::kThreads, 0, queue, y, factor, x, n);
}

void scale(float* y, float factor, std::int64_t n, const Queue& queue) {
  launch<updating::scale>(updating::blocks_for(n), updating::kThreads, 0, queue, y, factor, n);
}

void fill(float* y, float value, std::int64_t n, const Queue& queue) {
  launch<updating::fill>(updating::blocks_for(n), updating::kThreads, 0, queue, y, value, n);
}

}  // namespace dml::cuda
