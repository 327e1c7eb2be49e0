// What becomes of each node, decided before anything is computed and for every batch size alike: folded, lowered or
// left out. Nodes with a float result that depends on a float initializer are lowered, since that might train.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "models/onnx/content.h"
#include "models/onnx/lower/operators.h"
#include "models/onnx/rewrite.h"

namespace dml {

struct ValueFacts {
  bool is_known = false;  ///< its elements can be computed while importing
  bool is_float = false;
  bool may_train = false;  ///< a float that depends on a float initializer
  int producer = -1;       ///< index of the node that computes it
  bool is_folded() const { return is_known && !may_train; }
};

struct ImportPlan {
  std::unordered_map<std::string, ValueFacts> facts;
  std::vector<const OnnxOperator*> operators;  ///< of each node
  std::vector<bool> is_lowered;                ///< of each node
  std::unordered_set<std::string> read;        ///< values that the lowered nodes read as such

  const ValueFacts& of(const std::string& name) const;
};

/// Throws one ModelError that lists all operations that are not supported.
ImportPlan make_plan(const OnnxModel::Content& content, const RewrittenGraph& graph);

}  // namespace dml
