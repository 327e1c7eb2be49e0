// A model laid out over a mesh without training it: what drawing, planning and cutting to files start from.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "parallel/partition.h"
#include "runtime/config.h"
#include "runtime/model_source.h"

namespace dml {

/// The partitions of any ranks, each as training would make it. No data set is needed: without config.data the labels
/// are taken to be classes (one for each row of the output), or by config.model.loss, and without a batch size the
/// file's own is used, else 16 or one sample for each microbatch of each replica. Absent d is 1.
class LayoutPlan {
 public:
  /// Throws ModelError, IoError, and std::invalid_argument where the mesh is none.
  explicit LayoutPlan(const Config& config);

  const ModelSource& model() const { return model_; }
  const Mesh& mesh() const { return mesh_; }
  const PartitionOptions& options() const { return options_; }
  /// What ranks of the same tensor index share is computed once and kept. Throws ModelError.
  Partition partition(int rank);

 private:
  const Graph& graph_of(std::int64_t samples);
  const DividedModel& divided(int tensor_index);
  void choose_batch(const Config& config);

  ModelSource model_;
  Mesh mesh_;
  PartitionOptions options_;
  std::map<std::int64_t, Graph> graphs_;                             ///< by samples
  std::map<int, DividedModel> divided_;                              ///< by tensor index
  std::map<std::pair<int, std::int64_t>, SplitGraph> split_graphs_;  ///< by tensor index and samples
};

/// The labels that the model is trained with where no data set says it.
BatchField likely_label(const ModelSource& model, const std::string& loss);

}  // namespace dml
