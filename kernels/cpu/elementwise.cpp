// Compiled once per instruction set. Loops over broadcast operands: the innermost dim of a plan is a plain vector loop.
#include "kernels/elementwise.h"

#include <cmath>

#include "kernels/cpu/broadcast_loop.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

/// y[i] = op(a[i * step_a], b[i * step_b]) with steps 0 or 1.
template <typename Y, typename T, typename Op>
DML_INLINE void run_of(Y* y, const T* a, const T* b, std::int64_t step_a, std::int64_t step_b, std::int64_t n, Op op) {
  if (step_a == 1 && step_b == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = op(a[i], b[i]);
  } else if (step_a == 1) {
    const T scalar = *b;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = op(a[i], scalar);
  } else if (step_b == 1) {
    const T scalar = *a;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = op(scalar, b[i]);
  } else {
    const Y value = op(*a, *b);
    for (std::int64_t i = 0; i < n; ++i) y[i] = value;
  }
}

template <typename Y, typename T, typename Op>
void apply(Y* y, const T* a, const T* b, const BroadcastPlan& plan, std::int64_t weight, Op op) {
  const auto last = static_cast<std::size_t>(plan.rank - 1);
  const std::int64_t step_a = plan.strides[0][last];
  const std::int64_t step_b = plan.strides[1][last];
  for_each_run(plan, weight,
               [&](const Run& run) { run_of(y + run.out, a + run.in[0], b + run.in[1], step_a, step_b, run.n, op); });
}

float power(float a, float b) { return std::pow(a, b); }

std::int64_t power(std::int64_t a, std::int64_t b) {
  std::int64_t result = 1;
  for (; b > 0; --b) result *= a;
  return result;
}

/// True if operand 1 has one element for the whole result.
bool is_scalar(const BroadcastPlan& plan) {
  for (int dim = 0; dim < plan.rank; ++dim) {
    if (plan.strides[1][static_cast<std::size_t>(dim)] != 0) return false;
  }
  return true;
}

/// Exponents for which PyTorch, too, does without pow; false if `exponent` is none of them.
bool power_of_scalar(float* y, const float* a, float exponent, const BroadcastPlan& plan) {
  const float* one = &exponent;  // a second operand that is not read
  if (exponent == 2.0f) {
    apply(y, a, one, plan, 1, [](float x, float) { return x * x; });
  } else if (exponent == 3.0f) {
    apply(y, a, one, plan, 1, [](float x, float) { return x * x * x; });
  } else if (exponent == 0.5f) {
    apply(y, a, one, plan, 2, [](float x, float) { return __builtin_sqrtf(x); });
  } else if (exponent == -1.0f) {
    apply(y, a, one, plan, 1, [](float x, float) { return 1.0f / x; });
  } else if (exponent == -2.0f) {
    apply(y, a, one, plan, 1, [](float x, float) { return 1.0f / (x * x); });
  } else {
    return false;
  }
  return true;
}

template <typename T>
void binary_of(BinaryOp op, T* y, const T* a, const T* b, const BroadcastPlan& plan) {
  switch (op) {
    case BinaryOp::add: return apply(y, a, b, plan, 1, [](T u, T v) { return u + v; });
    case BinaryOp::sub: return apply(y, a, b, plan, 1, [](T u, T v) { return u - v; });
    case BinaryOp::mul: return apply(y, a, b, plan, 1, [](T u, T v) { return u * v; });
    case BinaryOp::div: return apply(y, a, b, plan, 1, [](T u, T v) { return u / v; });
    case BinaryOp::pow: return apply(y, a, b, plan, 16, [](T u, T v) { return power(u, v); });
  }
}

template <typename T>
void compare_of(CompareOp op, std::uint8_t* y, const T* a, const T* b, const BroadcastPlan& plan) {
  switch (op) {
    case CompareOp::equal: return apply(y, a, b, plan, 1, [](T u, T v) { return std::uint8_t{u == v}; });
    case CompareOp::less: return apply(y, a, b, plan, 1, [](T u, T v) { return std::uint8_t{u < v}; });
    case CompareOp::less_or_equal: return apply(y, a, b, plan, 1, [](T u, T v) { return std::uint8_t{u <= v}; });
    case CompareOp::greater: return apply(y, a, b, plan, 1, [](T u, T v) { return std::uint8_t{u > v}; });
    case CompareOp::greater_or_equal: return apply(y, a, b, plan, 1, [](T u, T v) { return std::uint8_t{u >= v}; });
  }
}

template <typename T>
void where_of(T* y, const std::uint8_t* condition, const T* a, const T* b, const BroadcastPlan& plan) {
  const auto last = static_cast<std::size_t>(plan.rank - 1);
  const std::int64_t step_c = plan.strides[0][last];
  const std::int64_t step_a = plan.strides[1][last];
  const std::int64_t step_b = plan.strides[2][last];
  for_each_run(plan, 1, [&](const Run& run) {
    T* out = y + run.out;
    const std::uint8_t* c = condition + run.in[0];
    const T* u = a + run.in[1];
    const T* v = b + run.in[2];
    if (step_c == 1 && step_a == 1 && step_b == 1) {
#pragma omp simd
      for (std::int64_t i = 0; i < run.n; ++i) out[i] = c[i] != 0 ? u[i] : v[i];
    } else {
      for (std::int64_t i = 0; i < run.n; ++i) out[i] = c[i * step_c] != 0 ? u[i * step_a] : v[i * step_b];
    }
  });
}

}  // namespace

void binary(BinaryOp op, float* y, const float* a, const float* b, const BroadcastPlan& plan) {
  if (op == BinaryOp::pow && is_scalar(plan) && power_of_scalar(y, a, *b, plan)) return;
  binary_of(op, y, a, b, plan);
}

void binary(BinaryOp op, std::int64_t* y, const std::int64_t* a, const std::int64_t* b, const BroadcastPlan& plan) {
  binary_of(op, y, a, b, plan);
}

void compare(CompareOp op, std::uint8_t* y, const float* a, const float* b, const BroadcastPlan& plan) {
  compare_of(op, y, a, b, plan);
}

void compare(CompareOp op, std::uint8_t* y, const std::int64_t* a, const std::int64_t* b, const BroadcastPlan& plan) {
  compare_of(op, y, a, b, plan);
}

void compare(CompareOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan) {
  compare_of(op, y, a, b, plan);
}

void logical(LogicalOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan) {
  using Byte = std::uint8_t;
  if (op == LogicalOp::conjunction) {
    apply(y, a, b, plan, 1, [](Byte u, Byte v) { return Byte{u != 0 && v != 0}; });
  } else {
    apply(y, a, b, plan, 1, [](Byte u, Byte v) { return Byte{u != 0 || v != 0}; });
  }
}

void logical_not(std::uint8_t* y, const std::uint8_t* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] == 0;
}

void where(float* y, const std::uint8_t* condition, const float* a, const float* b, const BroadcastPlan& plan) {
  where_of(y, condition, a, b, plan);
}

void where(std::int64_t* y, const std::uint8_t* condition, const std::int64_t* a, const std::int64_t* b,
           const BroadcastPlan& plan) {
  where_of(y, condition, a, b, plan);
}

void where(std::uint8_t* y, const std::uint8_t* condition, const std::uint8_t* a, const std::uint8_t* b,
           const BroadcastPlan& plan) {
  where_of(y, condition, a, b, plan);
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, binary, (BinaryOp op, float* y, const float* a, const float* b, const BroadcastPlan& plan),
             (op, y, a, b, plan));
DML_DISPATCH(void, binary,
             (BinaryOp op, std::int64_t* y, const std::int64_t* a, const std::int64_t* b, const BroadcastPlan& plan),
             (op, y, a, b, plan));
DML_DISPATCH(void, compare, (CompareOp op, std::uint8_t* y, const float* a, const float* b, const BroadcastPlan& plan),
             (op, y, a, b, plan));
DML_DISPATCH(void, compare,
             (CompareOp op, std::uint8_t* y, const std::int64_t* a, const std::int64_t* b, const BroadcastPlan& plan),
             (op, y, a, b, plan));
DML_DISPATCH(void, compare,
             (CompareOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan),
             (op, y, a, b, plan));
DML_DISPATCH(void, logical,
             (LogicalOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan),
             (op, y, a, b, plan));
DML_DISPATCH(void, logical_not, (std::uint8_t * y, const std::uint8_t* x, std::int64_t n), (y, x, n));
DML_DISPATCH(void, where,
             (float* y, const std::uint8_t* condition, const float* a, const float* b, const BroadcastPlan& plan),
             (y, condition, a, b, plan));
DML_DISPATCH(void, where,
             (std::int64_t * y, const std::uint8_t* condition, const std::int64_t* a, const std::int64_t* b,
              const BroadcastPlan& plan),
             (y, condition, a, b, plan));
DML_DISPATCH(void, where,
             (std::uint8_t * y, const std::uint8_t* condition, const std::uint8_t* a, const std::uint8_t* b,
              const BroadcastPlan& plan),
             (y, condition, a, b, plan));
