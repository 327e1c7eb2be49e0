// Compiled once per instruction set.
#include "kernels/unary.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

constexpr float kSqrtHalf = 0.70710678118654752f;
constexpr float kInverseSqrtTwoPi = 0.39894228040143268f;
constexpr float kSqrtTwoOverPi = 0.79788456080286536f;
constexpr float kGeluCubic = 0.044715f;

template <typename T, typename Op>
void map(T* y, const T* x, std::int64_t n, std::int64_t weight, Op op) {
  parallel_chunks(n, weight, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) y[i] = op(x[i]);
  });
}

template <typename Op>
void map(float* y, const float* a, const float* b, std::int64_t n, std::int64_t weight, Op op) {
  parallel_chunks(n, weight, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) y[i] = op(a[i], b[i]);
  });
}

DML_INLINE float gelu(float x) { return 0.5f * x * (1.0f + erf(x * kSqrtHalf)); }

DML_INLINE float gelu_grad(float dy, float x) {
  const float below = 0.5f * (1.0f + erf(x * kSqrtHalf));
  const float density = kInverseSqrtTwoPi * exp(-0.5f * x * x);
  return dy * mul_add(x, density, below);
}

DML_INLINE float gelu_tanh(float x) {
  const float inner = kSqrtTwoOverPi * mul_add(kGeluCubic * x * x, x, x);
  return 0.5f * x * (1.0f + tanh(inner));
}

DML_INLINE float gelu_tanh_grad(float dy, float x) {
  const float x2 = x * x;
  const float t = tanh(kSqrtTwoOverPi * mul_add(kGeluCubic * x2, x, x));
  const float inner_grad = kSqrtTwoOverPi * mul_add(3.0f * kGeluCubic, x2, 1.0f);
  return dy * (0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner_grad);
}

}  // namespace

void unary(UnaryOp op, float* y, const float* x, std::int64_t n) {
  switch (op) {
    case UnaryOp::relu: return map(y, x, n, 1, [](float u) { return u < 0.0f ? 0.0f : u; });
    case UnaryOp::sigmoid: return map(y, x, n, 4, [](float u) { return sigmoid(u); });
    case UnaryOp::tanh: return map(y, x, n, 4, [](float u) { return tanh(u); });
    case UnaryOp::erf: return map(y, x, n, 4, [](float u) { return erf(u); });
    case UnaryOp::exp: return map(y, x, n, 4, [](float u) { return exp(u); });
    case UnaryOp::log: return map(y, x, n, 4, [](float u) { return log(u); });
    case UnaryOp::sqrt: return map(y, x, n, 2, [](float u) { return __builtin_sqrtf(u); });
    case UnaryOp::neg: return map(y, x, n, 1, [](float u) { return -u; });
    case UnaryOp::reciprocal: return map(y, x, n, 1, [](float u) { return 1.0f / u; });
    case UnaryOp::abs: return map(y, x, n, 1, [](float u) { return abs(u); });
    case UnaryOp::gelu: return map(y, x, n, 4, [](float u) { return gelu(u); });
    case UnaryOp::gelu_tanh: return map(y, x, n, 4, [](float u) { return gelu_tanh(u); });
  }
}

void unary(UnaryOp op, std::int64_t* y, const std::int64_t* x, std::int64_t n) {
  if (op == UnaryOp::neg) return map(y, x, n, 1, [](std::int64_t u) { return -u; });
  map(y, x, n, 1, [](std::int64_t u) { return u < 0 ? -u : u; });
}

void clip(float* y, const float* x, std::int64_t n, float low, float high) {
  map(y, x, n, 1, [=](float u) {
    const float raised = u < low ? low : u;
    return raised > high ? high : raised;
  });
}

void unary_grad(OutputGradOp op, float* dx, const float* dy, const float* y, std::int64_t n) {
  switch (op) {
    case OutputGradOp::relu: return map(dx, dy, y, n, 1, [](float d, float v) { return v <= 0.0f ? 0.0f : d; });
    case OutputGradOp::sigmoid: return map(dx, dy, y, n, 1, [](float d, float v) { return d * (1.0f - v) * v; });
    case OutputGradOp::tanh: return map(dx, dy, y, n, 1, [](float d, float v) { return d * (1.0f - v * v); });
  }
}

void unary_grad(InputGradOp op, float* dx, const float* dy, const float* x, std::int64_t n) {
  switch (op) {
    case InputGradOp::gelu: return map(dx, dy, x, n, 6, [](float d, float u) { return gelu_grad(d, u); });
    case InputGradOp::gelu_tanh: return map(dx, dy, x, n, 6, [](float d, float u) { return gelu_tanh_grad(d, u); });
  }
}

void clip_grad(float* dx, const float* dy, const float* x, std::int64_t n, float low, float high) {
  map(dx, dy, x, n, 1, [=](float d, float u) { return u < low || u > high ? 0.0f : d; });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, unary, (UnaryOp op, float* y, const float* x, std::int64_t n), (op, y, x, n));
DML_DISPATCH(void, unary, (UnaryOp op, std::int64_t* y, const std::int64_t* x, std::int64_t n), (op, y, x, n));
DML_DISPATCH(void, clip, (float* y, const float* x, std::int64_t n, float low, float high), (y, x, n, low, high));
DML_DISPATCH(void, unary_grad, (OutputGradOp op, float* dx, const float* dy, const float* y, std::int64_t n),
             (op, dx, dy, y, n));
DML_DISPATCH(void, unary_grad, (InputGradOp op, float* dx, const float* dy, const float* x, std::int64_t n),
             (op, dx, dy, x, n));
DML_DISPATCH(void, clip_grad, (float* dx, const float* dy, const float* x, std::int64_t n, float low, float high),
             (dx, dy, x, n, low, high));
