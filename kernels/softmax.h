// Softmax and its logarithm along one dim of a tensor read as [outer, n, inner], and their gradients.
#pragma once

#include <cstdint>

namespace dml::cpu {

/// y = exp(x - max) / Σ exp(x - max) over n. y may be x.
void softmax(float* y, const float* x, std::int64_t outer, std::int64_t n, std::int64_t inner);
/// y = x - max - log Σ exp(x - max) over n. y may be x.
void log_softmax(float* y, const float* x, std::int64_t outer, std::int64_t n, std::int64_t inner);
/// dx = y · (dy - Σ dy·y). dx may be dy.
void softmax_grad(float* dx, const float* dy, const float* y, std::int64_t outer, std::int64_t n, std::int64_t inner);
/// dx = dy - exp(y) · Σ dy. dx may be dy.
void log_softmax_grad(float* dx, const float* dy, const float* y, std::int64_t outer, std::int64_t n,
                      std::int64_t inner);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// T is float or bf16.

template <typename T>
void softmax(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, const Queue& queue);
template <typename T>
void log_softmax(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, const Queue& queue);
template <typename T>
void softmax_grad(T* dx, const T* dy, const T* y, std::int64_t outer, std::int64_t n, std::int64_t inner,
                  const Queue& queue);
template <typename T>
void log_softmax_grad(T* dx, const T* dy, const T* y, std::int64_t outer, std::int64_t n, std::int64_t inner,
                      const Queue& queue);

}  // namespace dml::cuda
