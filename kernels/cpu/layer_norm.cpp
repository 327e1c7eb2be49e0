// Compiled once per instruction set.
#include "kernels/layer_norm.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {

void layer_norm(float* y, float* mean, float* rstd, const float* x, const float* scale, const float* bias,
                std::int64_t rows, std::int64_t n, float epsilon) {
  parallel_for(rows, 3 * n, [&](std::int64_t row) {
    const float* in = x + row * n;
    float* out = y + row * n;
    const auto count = static_cast<double>(n);
    const float centre = static_cast<float>(sum_terms(n, [&](std::int64_t i) { return in[i]; }) / count);
    const double squares = sum_terms(n, [&](std::int64_t i) { return (in[i] - centre) * (in[i] - centre); });
    const auto factor = static_cast<float>(1.0 / __builtin_sqrt(squares / count + static_cast<double>(epsilon)));
    mean[row] = centre;
    rstd[row] = factor;
    if (bias != nullptr) {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) out[i] = mul_add((in[i] - centre) * factor, scale[i], bias[i]);
    } else {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) out[i] = (in[i] - centre) * factor * scale[i];
    }
  });
}

void layer_norm_grad(float* dx, const float* dy, const float* x, const float* scale, const float* mean,
                     const float* rstd, std::int64_t rows, std::int64_t n) {
  parallel_for(rows, 3 * n, [&](std::int64_t row) {
    const float* in = x + row * n;
    const float* d = dy + row * n;
    float* out = dx + row * n;
    const float centre = mean[row];
    const float factor = rstd[row];
    const auto count = static_cast<double>(n);
    const auto mean_g = static_cast<float>(sum_terms(n, [&](std::int64_t i) { return d[i] * scale[i]; }) / count);
    const auto mean_gx = static_cast<float>(
        sum_terms(n, [&](std::int64_t i) { return d[i] * scale[i] * ((in[i] - centre) * factor); }) / count);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      out[i] = factor * (d[i] * scale[i] - mean_g - (in[i] - centre) * factor * mean_gx);
    }
  });
}

void layer_norm_param_grad(float* dscale, float* dbias, const float* dy, const float* x, const float* mean,
                           const float* rstd, std::int64_t rows, std::int64_t n) {
  sum_columns<2>(
      rows, n,
      [&](float* sums, std::int64_t row, std::int64_t column, std::int64_t columns) {
        const float* d = dy + row * n + column;
        const float* in = x + row * n + column;
        const float centre = mean[row];
        const float factor = rstd[row];
#pragma omp simd
        for (std::int64_t i = 0; i < columns; ++i) {
          sums[i] = mul_add(d[i], (in[i] - centre) * factor, sums[i]);
          sums[kTileColumns + i] += d[i];
        }
      },
      [&](const double* total, std::int64_t column, std::int64_t columns) {
        for (std::int64_t i = 0; i < columns; ++i) dscale[column + i] = static_cast<float>(total[i]);
        if (dbias == nullptr) return;
        for (std::int64_t i = 0; i < columns; ++i) dbias[column + i] = static_cast<float>(total[kTileColumns + i]);
      });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, layer_norm,
             (float* y, float* mean, float* rstd, const float* x, const float* scale, const float* bias,
              std::int64_t rows, std::int64_t n, float epsilon),
             (y, mean, rstd, x, scale, bias, rows, n, epsilon));
DML_DISPATCH(void, layer_norm_grad,
             (float* dx, const float* dy, const float* x, const float* scale, const float* mean, const float* rstd,
              std::int64_t rows, std::int64_t n),
             (dx, dy, x, scale, mean, rstd, rows, n));
DML_DISPATCH(void, layer_norm_param_grad,
             (float* dscale, float* dbias, const float* dy, const float* x, const float* mean, const float* rstd,
              std::int64_t rows, std::int64_t n),
             (dscale, dbias, dy, x, mean, rstd, rows, n));
