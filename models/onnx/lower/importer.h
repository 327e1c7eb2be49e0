// One build: walks the nodes in order, lowers those of the plan, and knows which value of the Graph each name is.
#pragma once

#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "models/onnx/lower/known_values.h"

namespace dml {

class Importer {
 public:
  /// `batch`: null where the graph is built at the size that the file says. All arguments outlive this.
  Importer(const OnnxModel::Content& content, const RewrittenGraph& graph, const ImportPlan& plan,
           const std::vector<Shape>& input_shapes, WrittenBatch* batch);

  /// To be called once.
  Graph run();
  /// After run: shapes of inputs and lowered values by their names in the file.
  const ShapeTable& shapes() const { return shapes_; }

 private:
  friend class Lowering;

  void add_inputs(const std::vector<Shape>& shapes);
  void add_parameters();
  void lower(const OnnxNode& node, const OnnxOperator& op);
  void check_outputs(const OnnxNode& node);
  /// The value of the Graph that `name` is; a constant is made where its elements are known. Throws ModelError.
  ValueId value_of(const std::string& name);
  std::string unique_name(const std::string& name);

  const OnnxModel::Content& content_;
  const RewrittenGraph& rewritten_;
  const ImportPlan& plan_;
  WrittenBatch* batch_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> values_;
  std::unordered_set<std::string> names_;  ///< all names in the file and in the Graph
  KnownValues known_;
  ShapeTable shapes_;
  std::int64_t num_dropouts_ = 0;
};

}  // namespace dml
