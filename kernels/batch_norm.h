// Batch normalization (Ioffe and Szegedy, 2015) and its gradient.
// x[batch, channels, inner]; the statistics of a channel are over batch and inner.
#pragma once

#include <cstdint>

namespace dml {

struct BatchNormExtents {
  std::int64_t batch = 0, channels = 0, inner = 1;
};

}  // namespace dml

namespace dml::cpu {

/// All [channels]. next = momentum · old + (1 - momentum) · batch, the variance with n - 1 (with 1 where n = 1); the
/// saved statistics use n. next_mean may be mean, and next_var may be var.
struct BatchNormStatistics {
  float* saved_mean;
  float* saved_rstd;
  float* next_mean;
  float* next_var;
  const float* mean;
  const float* var;
};

/// y = (x - saved_mean) · saved_rstd · scale + bias; y may be x.
void batch_norm(float* y, const BatchNormStatistics& statistics, const float* x, const float* scale, const float* bias,
                const BatchNormExtents& extents, float epsilon, float momentum);
/// The same by the running statistics: y = (x - mean) / sqrt(var + epsilon) · scale + bias; y may be x.
void batch_norm_inference(float* y, const float* x, const float* scale, const float* bias, const float* mean,
                          const float* var, const BatchNormExtents& extents, float epsilon);
/// dbias = Σ dy, dscale = Σ dy · x̂, dx = scale · rstd · (dy - dbias/n - x̂ · dscale/n), x̂ = (x - mean) · rstd.
/// dx may be dy.
void batch_norm_grad(float* dx, float* dscale, float* dbias, const float* dy, const float* x, const float* scale,
                     const float* saved_mean, const float* saved_rstd, const BatchNormExtents& extents);

}  // namespace dml::cpu
