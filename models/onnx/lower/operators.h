// The table of ONNX operations that are read. Adding one: a row in operators.cpp, and its functions in the family's
// file of this folder and, where it can occur in shape arithmetic, of fold/.
#pragma once

#include <cstdint>
#include <string_view>

#include "models/onnx/fold/fold.h"

namespace dml {

class Lowering;

/// What type the folded result has.
enum class ResultType : std::uint8_t { as_first, as_second, boolean, integer, by_attribute };

struct OnnxOperator {
  std::string_view type;
  void (*lower)(Lowering& lowering) = nullptr;  ///< null: it is only folded
  FoldFunction fold = nullptr;                  ///< null: it is only lowered
  ResultType result = ResultType::as_first;
  std::uint32_t constant_inputs = 0;  ///< bit i: lowering wants the elements of input i
};

/// The operator's constant_inputs, and for a BatchNormalization outside training mode its statistics.
std::uint32_t constant_inputs_of(const OnnxOperator& op, const OnnxNode& node);

/// Whether its result needs its input's shape alone, not the elements.
bool is_shape_query(const OnnxOperator& op);

/// Null where the operation is not read; `domain` is empty or "ai.onnx" for ONNX's own.
const OnnxOperator* find_operator(std::string_view type, std::string_view domain);

}  // namespace dml
