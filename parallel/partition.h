// Everything that a layout decides for one rank: its graphs, stages, schedule, flat buffers and tasks. A pure function
// of the model and the layout; all ranks compute what they share alike.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "parallel/build_tasks.h"
#include "parallel/data/flat_layout.h"
#include "parallel/mesh.h"
#include "parallel/pipeline/actions.h"
#include "parallel/pipeline/schedule.h"
#include "parallel/plan_annotations.h"
#include "parallel/task_graph.h"
#include "parallel/techniques/techniques.h"
#include "parallel/tensor/split.h"

namespace dml {

struct PartitionOptions {
  std::string schedule = "1f1b";
  int chunks = 0;                               ///< stages per pipeline position; 0: as the schedule has them
  std::shared_ptr<const ParsedSchedule> given;  ///< the orders themselves, in place of a schedule by name
  std::int64_t batch = 1;                       ///< samples of the global batch
  int microbatches = 1;                         ///< per replica
  bool tensor_auto = true;                      ///< the cheaper mode by bytes
  SplitMode tensor_mode = SplitMode::megatron;
  std::vector<std::string> cut;
  std::shared_ptr<const CarriedPlan> carried;  ///< of this mesh: in place of mode and cut
  std::int64_t bucket_bytes = 4 << 20;
  std::function<bool(const std::string&)> decays = [](const std::string&) { return true; };
  bool clips = false;
  Techniques techniques;  ///< of the split and the tasks; recomputation and dtype are those of the model's graph
  bool needs_output = false;
  bool forward_only = false;
};

/// The training graph of a microbatch of that many samples; the same nodes for every number.
using GraphOfBatch = std::function<Graph(std::int64_t samples)>;

/// What is known of the model as a whole: for messages, and to see whether ranks have the same.
struct ModelSummary {
  std::int64_t parameters = 0;
  double flops_per_sample = 0;
  std::int64_t fingerprint = 0;           ///< of names, operations, shapes and stages
  std::vector<std::string> stage_labels;  ///< by stage: the module paths of its nodes
};

/// A model cut and divided for a mesh, as one rank of the tensor axis sees it: all that batch, schedule and optimizer
/// do not change. The split graphs of all sizes have the same nodes and values.
struct DividedModel {
  std::function<std::shared_ptr<const SplitGraph>(std::int64_t samples)> split_of;
  std::vector<int> whole_stages;  ///< by node of the graph that was divided
  std::vector<int> stages;        ///< by node of the split graphs
  std::vector<StageCost> costs;   ///< by stage, for searched schedules; empty: all stages alike
  SplitMode mode = SplitMode::megatron;
  ModelSummary summary;
  std::vector<std::string> notes;
};

struct Partition {
  Partition(const Mesh& mesh, int rank, const Placement& placement)
      : mesh(mesh), rank(rank), at(mesh.coordinate(rank)), placement(placement) {}

  Mesh mesh;
  int rank = 0;
  Coordinate at;
  Placement placement;
  std::vector<Order> orders;                ///< by pipeline position
  std::vector<std::int64_t> sizes;          ///< samples of each microbatch of this replica
  std::vector<std::int64_t> first_samples;  ///< where each begins in the global batch
  ModelSummary summary;
  std::map<std::int64_t, std::shared_ptr<const SplitGraph>> graphs;  ///< by samples
  std::vector<const SplitGraph*> by_microbatch;
  std::vector<int> stages;  ///< by node of the split graphs
  std::vector<int> own_stages;
  std::shared_ptr<const StageMap> map;
  FlatLayout layout;
  RankTasks tasks;
  SplitMode mode = SplitMode::megatron;
  bool keeps_output = false;  ///< the model's output is wanted for itself
  bool forward_only = false;  ///< nothing is trained
  Techniques techniques;
  std::vector<std::string> notes;

  const SplitGraph& split() const { return *by_microbatch.front(); }
  TensorPlace place() const { return {at.t, mesh.t()}; }
  /// The pipeline positions whose stages read a parameter, ascending; the first one speaks for it.
  std::vector<int> positions_of(ValueId parameter) const;
  /// The sets of stages that share weights across positions, in a fixed order.
  std::vector<std::vector<int>> tied_groups() const;
};

/// The stages of the schedule on the positions of the mesh. Throws std::invalid_argument for an unknown schedule, for
/// chunks that it does not have, and for given orders of other positions or microbatches.
Placement placement_of(const Mesh& mesh, const PartitionOptions& options);
/// The samples of the largest microbatch of any replica: what all ranks take their decisions by.
std::int64_t largest_microbatch(const Mesh& mesh, const PartitionOptions& options);

/// How the graph is divided over the tensor axis: in the mode that was decided, or by the carried plan.
SplitPlan split_plan_of(const Graph& graph, int size, SplitMode mode, const PartitionOptions& options);

/// One rank's part of `graph`, as it runs: divided, and with epilogues (tensor/epilogues.h). `stages` are by node of
/// `graph`; empty: all are of one.
SplitGraph divided_graph(const Graph& graph, const SplitPlan& plan, TensorPlace place, std::span<const int> stages);

/// By node of a training graph: its stage, by the carried plan, the named cut, or cost. Throws ModelError.
std::vector<int> stages_of_nodes(const Graph& graph, const Mesh& mesh, const PartitionOptions& options);

/// Decides mode and stages by the graph of a microbatch of `samples`. Keeps `graph_of`.
/// Throws ModelError where the layout does not fit the model.
DividedModel divide_model(const GraphOfBatch& graph_of, const Mesh& mesh, int tensor_index, std::int64_t samples,
                          const PartitionOptions& options);

/// What ranks of all tensor indices, stages and replicas share.
struct StagePlan {
  Placement placement;
  std::vector<Order> orders;  ///< by pipeline position
  std::shared_ptr<const StageMap> map;
  std::shared_ptr<const ParameterUses> uses;
};
/// `split` is of any tensor index and number of samples. Throws std::invalid_argument as placement_of and schedules do.
StagePlan plan_stages(const DividedModel& model, const SplitGraph& split, const Mesh& mesh,
                      const PartitionOptions& options);
/// Throws ModelError where the layout does not fit the batch.
Partition make_partition(const DividedModel& model, const StagePlan& plan, const Mesh& mesh, int rank,
                         const PartitionOptions& options);
/// Both, for a rank alone.
Partition make_partition(const DividedModel& model, const Mesh& mesh, int rank, const PartitionOptions& options);
/// All of it.
Partition make_partition(const GraphOfBatch& graph_of, const Mesh& mesh, int rank, const PartitionOptions& options);

}  // namespace dml
