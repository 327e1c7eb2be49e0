// Operations of two or three operands, element by element, with broadcasting. Results may share memory with an operand
// that has the shape of the result.
#pragma once

#include <cstdint>

#include "kernels/broadcast.h"

namespace dml {

enum class BinaryOp { add, sub, mul, div, pow };
enum class CompareOp { equal, less, less_or_equal, greater, greater_or_equal };
enum class LogicalOp { conjunction, disjunction };

}  // namespace dml

namespace dml::cpu {

/// y = a op b. Powers follow PyTorch: a scalar exponent of 2, 3, 1/2, -1, -2 is computed by products and roots.
void binary(BinaryOp op, float* y, const float* a, const float* b, const BroadcastPlan& plan);
/// The same of integers; div truncates and must not meet a zero divisor, pow takes exponents ≥ 0.
void binary(BinaryOp op, std::int64_t* y, const std::int64_t* a, const std::int64_t* b, const BroadcastPlan& plan);

/// y = 1 where a op b, else 0.
void compare(CompareOp op, std::uint8_t* y, const float* a, const float* b, const BroadcastPlan& plan);
void compare(CompareOp op, std::uint8_t* y, const std::int64_t* a, const std::int64_t* b, const BroadcastPlan& plan);
void compare(CompareOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan);

/// Of booleans: any byte but 0 is true.
void logical(LogicalOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan);
void logical_not(std::uint8_t* y, const std::uint8_t* x, std::int64_t n);

/// y = condition ? a : b, of elements of 4, 8 or 1 bytes. Operands of the plan: condition, a, b.
void where(float* y, const std::uint8_t* condition, const float* a, const float* b, const BroadcastPlan& plan);
void where(std::int64_t* y, const std::uint8_t* condition, const std::int64_t* a, const std::int64_t* b,
           const BroadcastPlan& plan);
void where(std::uint8_t* y, const std::uint8_t* condition, const std::uint8_t* a, const std::uint8_t* b,
           const BroadcastPlan& plan);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

/// T: float, bf16, int64_t.
template <typename T>
void binary(BinaryOp op, T* y, const T* a, const T* b, const BroadcastPlan& plan, const Queue& queue);
/// T: float, bf16, int64_t, uint8_t.
template <typename T>
void compare(CompareOp op, std::uint8_t* y, const T* a, const T* b, const BroadcastPlan& plan, const Queue& queue);
void logical(LogicalOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan,
             const Queue& queue);
void logical_not(std::uint8_t* y, const std::uint8_t* x, std::int64_t n, const Queue& queue);
/// T: float, bf16, int64_t, uint8_t.
template <typename T>
void where(T* y, const std::uint8_t* condition, const T* a, const T* b, const BroadcastPlan& plan, const Queue& queue);

}  // namespace dml::cuda
