// Layer normalization of the rows of a [rows, n] matrix (Ba et al., 2016) and its gradients.
#pragma once

#include <cstdint>

namespace dml::cpu {

/// y = (x - mean) · rstd · scale + bias; mean and rstd [rows] are written, with the variance over n. bias may be null.
void layer_norm(float* y, float* mean, float* rstd, const float* x, const float* scale, const float* bias,
                std::int64_t rows, std::int64_t n, float epsilon);
/// dx = rstd · (g - mean(g) - x̂ · mean(g · x̂)) with g = dy · scale and x̂ = (x - mean) · rstd. dx may be dy.
void layer_norm_grad(float* dx, const float* dy, const float* x, const float* scale, const float* mean,
                     const float* rstd, std::int64_t rows, std::int64_t n);
/// dscale = Σ over rows of dy · x̂, dbias = Σ dy. dbias may be null.
void layer_norm_param_grad(float* dscale, float* dbias, const float* dy, const float* x, const float* mean,
                           const float* rstd, std::int64_t rows, std::int64_t n);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// T is float or bf16; the statistics are float.

template <typename T>
void layer_norm(T* y, float* mean, float* rstd, const T* x, const T* scale, const T* bias, std::int64_t rows,
                std::int64_t n, float epsilon, const Queue& queue);
template <typename T>
void layer_norm_grad(T* dx, const T* dy, const T* x, const T* scale, const float* mean, const float* rstd,
                     std::int64_t rows, std::int64_t n, const Queue& queue);
template <typename T>
void layer_norm_param_grad(T* dscale, T* dbias, const T* dy, const T* x, const float* mean, const float* rstd,
                           std::int64_t rows, std::int64_t n, const Queue& queue);

}  // namespace dml::cuda
