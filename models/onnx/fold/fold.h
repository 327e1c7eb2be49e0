// Folding: what operations compute when their inputs are known while importing. One file of this folder per family; the
// functions are entered in operators.cpp.
#pragma once

#include <utility>
#include <vector>

#include "models/onnx/batch.h"
#include "models/onnx/fold/literal.h"
#include "models/onnx/node.h"

namespace dml {

/// What a fold function sees of its node.
struct Folding {
  const OnnxNode& node;
  std::vector<const Literal*> inputs;   ///< null where absent
  const Shape* shape = nullptr;         ///< of input 0, the only thing known for Shape and Size
  const WrittenBatch* batch = nullptr;  ///< null where the batch is as the file says
  bool is_target_written = false;       ///< the target shape (last input) is a constant of the file, not computed

  /// Input `index`; throws ModelError where it is absent.
  const Literal& input(std::size_t index) const;
  /// The same of an input that holds integers or booleans.
  const std::vector<std::int64_t>& integers(std::size_t index) const;
  bool has_input(std::size_t index) const { return index < inputs.size() && inputs[index] != nullptr; }
};

/// Without a copy, unlike a braced list.
inline std::vector<Literal> single_output(Literal output) {
  std::vector<Literal> outputs;
  outputs.push_back(std::move(output));
  return outputs;
}

using FoldFunction = std::vector<Literal> (*)(const Folding&);

/// Integers of input `index`, else of the attribute, else empty: axes moved from attributes to inputs over the opsets.
std::vector<std::int64_t> integers_of(const Folding& fold, std::size_t index, std::string_view attribute);

std::vector<Literal> fold_unary(const Folding& fold);
std::vector<Literal> fold_arithmetic(const Folding& fold);
std::vector<Literal> fold_comparison(const Folding& fold);
std::vector<Literal> fold_logic(const Folding& fold);
std::vector<Literal> fold_where(const Folding& fold);
std::vector<Literal> fold_cast(const Folding& fold);
std::vector<Literal> fold_reduce(const Folding& fold);

std::vector<Literal> fold_constant(const Folding& fold);
std::vector<Literal> fold_shape(const Folding& fold);
std::vector<Literal> fold_size(const Folding& fold);
std::vector<Literal> fold_range(const Folding& fold);
std::vector<Literal> fold_constant_of_shape(const Folding& fold);

std::vector<Literal> fold_identity(const Folding& fold);
std::vector<Literal> fold_reshape(const Folding& fold);
std::vector<Literal> fold_flatten(const Folding& fold);
std::vector<Literal> fold_squeeze(const Folding& fold);
std::vector<Literal> fold_unsqueeze(const Folding& fold);
std::vector<Literal> fold_transpose(const Folding& fold);
std::vector<Literal> fold_expand(const Folding& fold);
std::vector<Literal> fold_concat(const Folding& fold);
std::vector<Literal> fold_split(const Folding& fold);
std::vector<Literal> fold_slice(const Folding& fold);
std::vector<Literal> fold_gather(const Folding& fold);
std::vector<Literal> fold_trilu(const Folding& fold);

}  // namespace dml
