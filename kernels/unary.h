// Functions of one operand and their gradients. y may be x, and dx may be dy.
#pragma once

#include <cstdint>

namespace dml {

enum class UnaryOp {
  relu,
  sigmoid,
  tanh,
  erf,
  exp,
  log,
  sqrt,
  neg,
  reciprocal,
  abs,
  gelu,       ///< x/2 · (1 + erf(x/√2))
  gelu_tanh,  ///< its approximation by tanh
};

/// Gradients that read the result of the forward operation.
enum class OutputGradOp { relu, sigmoid, tanh };
/// Gradients that read its operand.
enum class InputGradOp { gelu, gelu_tanh };

}  // namespace dml

namespace dml::cpu {

void unary(UnaryOp op, float* y, const float* x, std::int64_t n);
/// Of UnaryOp only neg and abs.
void unary(UnaryOp op, std::int64_t* y, const std::int64_t* x, std::int64_t n);
/// y = min(max(x, low), high); an absent bound is an infinity.
void clip(float* y, const float* x, std::int64_t n, float low, float high);

void unary_grad(OutputGradOp op, float* dx, const float* dy, const float* y, std::int64_t n);
void unary_grad(InputGradOp op, float* dx, const float* dy, const float* x, std::int64_t n);
/// dx = dy where low ≤ x ≤ high, else 0.
void clip_grad(float* dx, const float* dy, const float* x, std::int64_t n, float low, float high);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// T is float or bf16; in `unary` also int64_t, of UnaryOp only neg and abs.

template <typename T>
void unary(UnaryOp op, T* y, const T* x, std::int64_t n, const Queue& queue);
template <typename T>
void clip(T* y, const T* x, std::int64_t n, float low, float high, const Queue& queue);
template <typename T>
void unary_grad(OutputGradOp op, T* dx, const T* dy, const T* y, std::int64_t n, const Queue& queue);
template <typename T>
void unary_grad(InputGradOp op, T* dx, const T* dy, const T* x, std::int64_t n, const Queue& queue);
template <typename T>
void clip_grad(T* dx, const T* dy, const T* x, std::int64_t n, float low, float high, const Queue& queue);

}  // namespace dml::cuda
