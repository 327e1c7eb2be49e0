// The rows of the operation test table: operation × shapes × attributes. operations_test.cpp executes them.
#pragma once

#include <string_view>
#include <vector>

#include "models/graph.h"

namespace dml::test {

/// One operand and what it is filled with.
struct Operand {
  enum class Fill {
    real,     ///< f32, uniform in [low, high)
    whole,    ///< whole numbers in [low, high], of any type
    labels,   ///< i64 classes in [low, high], and -100 now and then
    mask,     ///< f32, 0 or now and then -inf
    places,   ///< i32: for each element that a pool made, a place of the plane inside its window, or -1
    forward,  ///< output `output` of the case's forward operation
    absent,
  };

  Fill fill = Fill::real;
  Shape shape = {};
  DataType type = DataType::f32;
  double low = -1;
  double high = 1;
  std::size_t output = 0;
};

/// |result - reference| ≤ atol + rtol·|reference|. The default: a float is good to 6e-8, and functions and sums of some
/// hundred terms of size 1 lose a few tens of that. {0, 0} where elements only move or are whole numbers.
struct Tolerance {
  double atol = 2e-6;
  double rtol = 1e-5;
};

struct OperationCase {
  std::string_view operation;
  std::vector<Operand> operands = {};
  Attributes attrs = {};
  Tolerance tolerance = {};
  /// Of operands with Fill::forward: an operation of the same attributes, and the operands that it is given.
  std::string_view forward = {};
  std::vector<std::size_t> forward_operands = {};
};

using OperationCases = std::vector<OperationCase>;

const OperationCases& operation_cases();

// The families, each in its file or part of one.
OperationCases elementwise_cases();
OperationCases linear_cases();
OperationCases window_cases();
OperationCases normalization_cases();
OperationCases layout_cases();
OperationCases attention_cases();
OperationCases loss_cases();

// Operands and attributes as the tables write them.
inline Operand real(Shape shape, double low = -1, double high = 1) {
  return {Operand::Fill::real, shape, DataType::f32, low, high};
}
inline Operand whole(Shape shape, double low, double high, DataType type = DataType::i64) {
  return {Operand::Fill::whole, shape, type, low, high};
}
inline Operand flags(Shape shape) { return whole(shape, 0, 1, DataType::boolean); }
inline Operand labels(Shape shape, double classes) {
  return {Operand::Fill::labels, shape, DataType::i64, 0, classes - 1};
}
inline Operand mask(Shape shape) { return {Operand::Fill::mask, shape, DataType::f32}; }
inline Operand places(Shape shape) { return {Operand::Fill::places, shape, DataType::i32}; }
inline Operand forward(std::size_t output) { return {.fill = Operand::Fill::forward, .output = output}; }
inline Operand absent() { return {.fill = Operand::Fill::absent}; }

using Ints = std::vector<std::int64_t>;
Attributes with(std::initializer_list<std::pair<const char*, Attributes::Attribute>> pairs);

inline constexpr Tolerance kExact{0, 0};

}  // namespace dml::test
