// The elements of values that are known while importing, computed when they are first asked for.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "models/onnx/fold/literal.h"
#include "models/onnx/lower/plan.h"

namespace dml {

class KnownValues {
 public:
  /// Finds the shape of a value that has been lowered already; null where it has not.
  using ShapeOf = std::function<const Shape*(const std::string&)>;

  KnownValues(const OnnxModel::Content& content, const RewrittenGraph& graph, const ImportPlan& plan, ShapeOf shape_of,
              const WrittenBatch* batch);

  /// Throws ModelError where a node on the way cannot be folded. The reference holds as long as this.
  const Literal& literal(const std::string& name);
  /// The same as a source for the Graph: where it lies in the file, if nothing was computed.
  std::shared_ptr<const TensorSource> source(const std::string& name);
  /// Whether the elements stand in the file: an initializer, or the output of a Constant.
  bool is_in_file(const std::string& name) const;

 private:
  void fold(const OnnxNode& node, const OnnxOperator& op);
  const std::string* first_missing(const OnnxNode& node, const OnnxOperator& op) const;
  const OnnxInitializer* find_initializer(const std::string& name) const;

  const OnnxModel::Content& content_;
  const RewrittenGraph& graph_;
  const ImportPlan& plan_;
  ShapeOf shape_of_;
  const WrittenBatch* batch_;
  std::unordered_map<std::string, const OnnxInitializer*> initializers_;
  std::unordered_map<std::string, Literal> literals_;
};

}  // namespace dml
