// A model laid out over a mesh without training it: what drawing, planning and cutting to files start from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/onnx/opaque_model.h"
#include "parallel/model_layout.h"
#include "runtime/config.h"
#include "runtime/model/model_source.h"

namespace dml {

/// The partitions of any ranks, each as training would make it. No data set is needed: without config.data the labels
/// are taken to be classes (one for each row of the output), or by config.model.loss, and without a batch size the
/// file's own is used, else 16 or one sample for each microbatch of each replica. Absent d is 1. A file that cannot be
/// trained because it has operations that are not read, or because external data is missing, is laid out as an
/// OpaqueModel: its forward pass.
class LayoutPlan {
 public:
  /// Throws ModelError, IoError, and std::invalid_argument where the mesh is none.
  explicit LayoutPlan(const Config& config);

  const std::string& name() const { return name_; }
  /// The model where it can be trained; null where it is laid out as an OpaqueModel.
  const ModelSource* model() const { return model_ ? &*model_ : nullptr; }
  /// What was decided that a person may want to know.
  const std::vector<std::string>& notes() const { return notes_; }
  std::int64_t num_parameters();
  const Mesh& mesh() const { return mesh_; }
  const PartitionOptions& options() const { return options_; }
  /// What ranks share is computed once and kept. Throws ModelError.
  Partition partition(int rank) { return layout().partition(rank); }
  /// Throws ModelError where the model does not fit.
  ModelLayout& layout();

 private:
  Graph graph_of(std::int64_t samples);
  void open_model(const Config& config);
  std::int64_t choose_batch(const Config& config);

  std::string name_;
  BuildOptions build_options_;
  std::optional<ModelSource> model_;           ///< this, or
  std::shared_ptr<const OpaqueModel> opaque_;  ///< that
  std::vector<std::string> notes_;
  Mesh mesh_;
  PartitionOptions options_;
  std::unique_ptr<ModelLayout> layout_;
};

/// The labels that the model is trained with where no data set says it.
BatchField likely_label(const ModelSource& model, const std::string& loss);

}  // namespace dml
