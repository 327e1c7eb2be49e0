// Updates of flat ranges of f32 weights, as PyTorch's single-tensor implementations compute them, and the sums and
// scalings of gradients that go with them. Every range may be cut anywhere without changing a bit of the result, but
// sum_of_squares.
#pragma once

#include <cstdint>

#include "kernels/step_state.h"

namespace dml {

struct SgdStep {
  double learning_rate = 0;
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;
  float gradient_scale = 1;  ///< gradients are multiplied by it first: the clip factor
};

struct AdamStep {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double bias_correction1 = 1;  ///< 1 - beta1^t of the t-th update, t ≥ 1
  double bias_correction2 = 1;
  float gradient_scale = 1;
};

}  // namespace dml

namespace dml::cpu {

/// g += decay · w; v = momentum · v + g; w -= lr · (nesterov ? g + momentum · v : v). The velocity starts at 0; it may
/// be null where momentum is 0.
void sgd(float* weights, float* velocity, const float* gradients, std::int64_t n, const SgdStep& step);
/// Kingma and Ba (2014), the decay added to the gradient. Both moments start at 0.
void adam(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n, const AdamStep& step);
/// Loshchilov and Hutter (2017): the decay shrinks the weights directly.
void adamw(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n,
           const AdamStep& step);

/// Σ x² in double, in fixed blocks of this range.
double sum_of_squares(const float* x, std::int64_t n);
/// y += factor · x.
void axpy(float* y, float factor, const float* x, std::int64_t n);
/// y *= factor.
void scale(float* y, float factor, std::int64_t n);
/// y = value.
void fill(float* y, float value, std::int64_t n);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// The same on a queue. Of `step` count the constants; learning rate, bias corrections and the scale of the gradients
// are those of `state` in device memory.
void sgd(float* weights, float* velocity, const float* gradients, std::int64_t n, const SgdStep& step,
         const StepState* state, const Queue& queue);
void adam(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n, const AdamStep& step,
          const StepState* state, const Queue& queue);
void adamw(float* weights, float* moment1, float* moment2, const float* gradients, std::int64_t n, const AdamStep& step,
           const StepState* state, const Queue& queue);

/// *sum, in device memory, = Σ x² in double, in fixed blocks of this range; uses up to 8 KiB of the workspace.
void sum_of_squares(double* sum, const float* x, std::int64_t n, const Queue& queue);
/// state->clip_factor = min(1, max_norm / (√(Σ of the `count` sums, in order) + 1e-6)); all in device memory. It is 1
/// where the norm is NaN.
void clip_factor(StepState* state, const double* sums, std::int64_t count, double max_norm, const Queue& queue);
void axpy(float* y, float factor, const float* x, std::int64_t n, const Queue& queue);
void scale(float* y, float factor, std::int64_t n, const Queue& queue);
void fill(float* y, float value, std::int64_t n, const Queue& queue);

}  // namespace dml::cuda
