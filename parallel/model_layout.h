// A model laid out over a mesh: the partitions of any of its ranks. What ranks share is made once and kept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "parallel/partition.h"
#include "parallel/rank_classes.h"

namespace dml {

class ModelLayout {
 public:
  /// Throws ModelError where the layout does not fit the model or the batch.
  ModelLayout(GraphOfBatch graph_of, const Mesh& mesh, const PartitionOptions& options);
  ModelLayout(const ModelLayout&) = delete;
  ModelLayout& operator=(const ModelLayout&) = delete;

  const Mesh& mesh() const { return mesh_; }
  const PartitionOptions& options() const { return options_; }
  /// As tensor index 0 sees it; what is decided in it is the same for all.
  const DividedModel& divided() const { return divided_; }
  /// The samples that microbatches have.
  const std::set<std::int64_t>& microbatch_sizes() const { return sizes_; }

  /// Of a microbatch of that many samples.
  const Graph& graph(std::int64_t samples);
  std::shared_ptr<const SplitGraph> split(int tensor_index, std::int64_t samples);
  Partition partition(int rank);
  /// Ranks whose tasks are the same but for their coordinate, and for what lies where in values that are divided. Parts
  /// of flat buffers that replicas divide differ by an element at most: they count as alike.
  RankClasses classes();

 private:
  const SplitPlan& plan(std::int64_t samples);

  GraphOfBatch graph_of_;
  Mesh mesh_;
  PartitionOptions options_;
  std::set<std::int64_t> sizes_;
  std::map<std::int64_t, Graph> graphs_;                                              ///< by samples
  std::map<std::int64_t, SplitPlan> plans_;                                           ///< by samples
  std::map<std::pair<int, std::int64_t>, std::shared_ptr<const SplitGraph>> splits_;  ///< by tensor index and samples
  DividedModel divided_;
  std::optional<StagePlan> stages_;
};

}  // namespace dml
