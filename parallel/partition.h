// Everything that a layout decides for one rank: its graphs, stages, schedule, flat buffers and tasks. A pure function of
// the model and the layout; all ranks compute what they share alike.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "parallel/build_tasks.h"
#include "parallel/data/flat_layout.h"
#include "parallel/mesh.h"
#include "parallel/pipeline/schedule.h"
#include "parallel/task_graph.h"
#include "parallel/tensor/split.h"

namespace dml {

struct PartitionOptions {
  std::string schedule = "1f1b";
  std::int64_t batch = 1;       ///< samples of the global batch
  int microbatches = 1;         ///< per replica
  bool tensor_auto = true;      ///< the cheaper mode by bytes
  SplitMode tensor_mode = SplitMode::megatron;
  std::vector<std::string> cut;
  std::int64_t bucket_bytes = 4 << 20;
  std::function<bool(const std::string&)> decays = [](const std::string&) { return true; };
  bool clips = false;
  bool needs_output = false;
  bool forward_only = false;
};

/// The training graph of a microbatch of that many samples; the same nodes for every number.
using GraphOfBatch = std::function<Graph(std::int64_t samples)>;

struct Partition {
  Partition(const Mesh& mesh, int rank, const Placement& placement)
      : mesh(mesh), rank(rank), at(mesh.coordinate(rank)), placement(placement) {}

  Mesh mesh;
  int rank = 0;
  Coordinate at;
  Placement placement;
  std::vector<Order> orders;                 ///< by pipeline position
  std::vector<std::int64_t> sizes;           ///< samples of each microbatch of this replica
  std::vector<std::int64_t> first_samples;   ///< where each begins in the global batch
  Graph whole;                               ///< the undivided graph of the largest microbatch
  std::vector<int> whole_stages;             ///< by its nodes
  std::map<std::int64_t, SplitGraph> graphs;  ///< by samples
  std::vector<const SplitGraph*> by_microbatch;
  std::vector<int> stages;                   ///< by node of the split graphs
  std::vector<int> own_stages;
  std::unique_ptr<StageMap> map;
  FlatLayout layout;
  RankTasks tasks;
  SplitMode mode = SplitMode::megatron;
  bool keeps_output = false;                 ///< the model's output is wanted for itself
  std::vector<std::string> notes;

  const SplitGraph& split() const { return *by_microbatch.front(); }
  TensorPlace place() const { return {at.t, mesh.t()}; }
  /// The pipeline positions whose stages read a parameter, ascending; the first one speaks for it.
  std::vector<int> positions_of(ValueId parameter) const;
  /// The sets of stages that share weights across positions, in a fixed order.
  std::vector<std::vector<int>> tied_groups() const;
};

/// Throws ModelError where the layout does not fit the model or the batch.
Partition make_partition(const GraphOfBatch& graph_of, const Mesh& mesh, int rank, const PartitionOptions& options);

}  // namespace dml
