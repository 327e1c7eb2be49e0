// Compiled once per instruction set.
#include "kernels/batch_norm.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

/// Σ term(i) over the elements i of one channel, row after row.
template <typename Term>
DML_INLINE double sum_channel(const BatchNormExtents& extents, std::int64_t channel, const Term& term) {
  double total = 0;
  for (std::int64_t sample = 0; sample < extents.batch; ++sample) {
    const std::int64_t begin = (sample * extents.channels + channel) * extents.inner;
    total += sum_terms(extents.inner, [&](std::int64_t i) { return term(begin + i); });
  }
  return total;
}

template <typename Body>
DML_INLINE void for_channel(const BatchNormExtents& extents, std::int64_t channel, const Body& body) {
  for (std::int64_t sample = 0; sample < extents.batch; ++sample) {
    const std::int64_t begin = (sample * extents.channels + channel) * extents.inner;
#pragma omp simd
    for (std::int64_t i = begin; i < begin + extents.inner; ++i) body(i);
  }
}

}  // namespace

void batch_norm(float* y, const BatchNormStatistics& statistics, const float* x, const float* scale, const float* bias,
                const BatchNormExtents& extents, float epsilon, float momentum) {
  const std::int64_t n = extents.batch * extents.inner;
  const auto count = static_cast<double>(n);
  parallel_for(extents.channels, 3 * n, [&](std::int64_t c) {
    const double exact_mean = sum_channel(extents, c, [&](std::int64_t i) { return x[i]; }) / count;
    const auto mean = static_cast<float>(exact_mean);
    const double squares = sum_channel(extents, c, [&](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); });
    const auto rstd = static_cast<float>(1.0 / __builtin_sqrt(squares / count + static_cast<double>(epsilon)));
    const auto var = static_cast<float>(squares / (n > 1 ? count - 1 : 1));
    statistics.saved_mean[c] = mean;
    statistics.saved_rstd[c] = rstd;
    statistics.next_mean[c] = momentum * statistics.mean[c] + (1 - momentum) * mean;
    statistics.next_var[c] = momentum * statistics.var[c] + (1 - momentum) * var;
    const float factor = rstd * scale[c];
    const float shift = bias[c];
    for_channel(extents, c, [&](std::int64_t i) { y[i] = mul_add(x[i] - mean, factor, shift); });
  });
}

void batch_norm_inference(float* y, const float* x, const float* scale, const float* bias, const float* mean,
                          const float* var, const BatchNormExtents& extents, float epsilon) {
  parallel_for(extents.channels, extents.batch * extents.inner, [&](std::int64_t c) {
    const float factor = scale[c] / __builtin_sqrtf(var[c] + epsilon);
    const float middle = mean[c];
    const float shift = bias[c];
    for_channel(extents, c, [&](std::int64_t i) { y[i] = mul_add(x[i] - middle, factor, shift); });
  });
}

void batch_norm_grad(float* dx, float* dscale, float* dbias, const float* dy, const float* x, const float* scale,
                     const float* saved_mean, const float* saved_rstd, const BatchNormExtents& extents) {
  const std::int64_t n = extents.batch * extents.inner;
  const auto count = static_cast<double>(n);
  parallel_for(extents.channels, 3 * n, [&](std::int64_t c) {
    const float mean = saved_mean[c];
    const float rstd = saved_rstd[c];
    const double sum = sum_channel(extents, c, [&](std::int64_t i) { return dy[i]; });
    const double product = sum_channel(extents, c, [&](std::int64_t i) { return dy[i] * ((x[i] - mean) * rstd); });
    dbias[c] = static_cast<float>(sum);
    dscale[c] = static_cast<float>(product);
    const auto mean_sum = static_cast<float>(sum / count);
    const auto mean_product = static_cast<float>(product / count) * rstd;
    const float factor = rstd * scale[c];
    for_channel(extents, c,
                [&](std::int64_t i) { dx[i] = factor * (dy[i] - mean_sum - (x[i] - mean) * mean_product); });
  });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, batch_norm,
             (float* y, const BatchNormStatistics& statistics, const float* x, const float* scale, const float* bias,
              const BatchNormExtents& extents, float epsilon, float momentum),
             (y, statistics, x, scale, bias, extents, epsilon, momentum));
DML_DISPATCH(void, batch_norm_inference,
             (float* y, const float* x, const float* scale, const float* bias, const float* mean, const float* var,
              const BatchNormExtents& extents, float epsilon),
             (y, x, scale, bias, mean, var, extents, epsilon));
DML_DISPATCH(void, batch_norm_grad,
             (float* dx, float* dscale, float* dbias, const float* dy, const float* x, const float* scale,
              const float* saved_mean, const float* saved_rstd, const BatchNormExtents& extents),
             (dx, dscale, dbias, dy, x, scale, saved_mean, saved_rstd, extents));
