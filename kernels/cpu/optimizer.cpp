// Compiled once per instruction set. Scalars are computed in double and rounded once, as Python does for PyTorch.
#include "kernels/optimizer.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

template <bool kDecoupled>
void adam_of(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n,
             const AdamStep& step) {
  const auto shrink = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  const auto decay = static_cast<float>(step.weight_decay);
  const auto blend1 = static_cast<float>(1.0 - step.beta1);
  const auto beta2 = static_cast<float>(step.beta2);
  const auto blend2 = static_cast<float>(1.0 - step.beta2);
  const auto root2 = static_cast<float>(__builtin_sqrt(step.bias_correction2));
  const auto epsilon = static_cast<float>(step.epsilon);
  const auto minus_size = static_cast<float>(-step.learning_rate / step.bias_correction1);
  const float scale = step.gradient_scale;
  parallel_chunks(n, 4, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const float w = kDecoupled ? weights[i] * shrink : weights[i];
      const float g = kDecoupled ? gradients[i] * scale : mul_add(decay, w, gradients[i] * scale);
      const float m = mul_add(blend1, g - moment1[i], moment1[i]);
      const float v = mul_add(blend2 * g, g, moment2[i] * beta2);
      moment1[i] = m;
      moment2[i] = v;
      weights[i] = w + minus_size * m / (__builtin_sqrtf(v) / root2 + epsilon);
    }
  });
}

}  // namespace

void sgd(float* weights, float* velocity, const float* gradients, std::int64_t n, const SgdStep& step) {
  const auto decay = static_cast<float>(step.weight_decay);
  const auto momentum = static_cast<float>(step.momentum);
  const auto minus_rate = static_cast<float>(-step.learning_rate);
  const float scale = step.gradient_scale;
  const bool nesterov = step.nesterov;
  parallel_chunks(n, 2, [=](std::int64_t begin, std::int64_t end) {
    if (momentum == 0.0f) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        weights[i] = mul_add(minus_rate, mul_add(decay, weights[i], gradients[i] * scale), weights[i]);
      }
      return;
    }
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const float g = mul_add(decay, weights[i], gradients[i] * scale);
      const float v = velocity[i] * momentum + g;
      velocity[i] = v;
      weights[i] = mul_add(minus_rate, nesterov ? mul_add(momentum, v, g) : v, weights[i]);
    }
  });
}

void adam(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n,
          const AdamStep& step) {
  adam_of<false>(weights, moment1, moment2, gradients, n, step);
}

void adamw(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n,
           const AdamStep& step) {
  adam_of<true>(weights, moment1, moment2, gradients, n, step);
}

double sum_of_squares(const float* x, std::int64_t n) {
  return sum_blocks(n, kChunkElems, 1, [&](std::int64_t begin, std::int64_t end) {
    double lanes[kLanes] = {};
    std::int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
#pragma omp simd
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const auto value = static_cast<double>(x[i + lane]);
        lanes[lane] += value * value;
      }
    }
    for (; i < end; ++i) lanes[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    double total = 0;
    for (const double lane : lanes) total += lane;
    return total;
  });
}

void axpy(float* y, float factor, const float* x, std::int64_t n) {
  parallel_chunks(n, 1, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) y[i] = mul_add(factor, x[i], y[i]);
  });
}

void scale(float* y, float factor, std::int64_t n) {
  parallel_chunks(n, 1, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) y[i] *= factor;
  });
}

void fill(float* y, float value, std::int64_t n) {
  parallel_chunks(n, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y[i] = value;
  });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, sgd, (float* weights, float* velocity, const float* gradients, std::int64_t n, const SgdStep& step),
             (weights, velocity, gradients, n, step));
DML_DISPATCH(void, adam,
             (float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n,
              const AdamStep& step),
             (weights, moment1, moment2, gradients, n, step));
DML_DISPATCH(void, adamw,
             (float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n,
              const AdamStep& step),
             (weights, moment1, moment2, gradients, n, step));
DML_DISPATCH(double, sum_of_squares, (const float* x, std::int64_t n), (x, n));
DML_DISPATCH(void, axpy, (float* y, float factor, const float* x, std::int64_t n), (y, factor, x, n));
DML_DISPATCH(void, scale, (float* y, float factor, std::int64_t n), (y, factor, n));
DML_DISPATCH(void, fill, (float* y, float value, std::int64_t n), (y, value, n));
