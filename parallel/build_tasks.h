// Builds the tasks of one rank: the passes of its schedule, operation by operation, with the transfers between stages,
// the collectives of the split, the gradient sums and the update.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "parallel/data/flat_layout.h"
#include "parallel/mesh.h"
#include "parallel/pipeline/schedule.h"
#include "parallel/task_graph.h"
#include "parallel/techniques/techniques.h"
#include "parallel/tensor/split.h"

namespace dml {

/// What decides the tasks of a rank. All split graphs have the same nodes and values, and differ in extents alone.
struct TaskInputs {
  const Mesh& mesh;
  int rank = 0;
  const Placement& placement;
  std::span<const Order> orders;              ///< by pipeline position
  std::span<const SplitGraph* const> graphs;  ///< by microbatch of this rank's replica
  std::span<const int> stages;                ///< by node of the split graph
  const FlatLayout& layout;                   ///< of this rank
  bool clips = false;                         ///< the update waits for the global gradient norm
  bool forward_only = false;                  ///< no gradients and no update
  /// Of ZeRO: gradients are reduce-scattered, from stage 2 on for every microbatch (those of tied weights once a step),
  /// and weights gathered, behind the update or from stage 3 on for every pass.
  Techniques techniques = {};
};

/// Numbers of the operations that are not nodes of the split graph.
struct OperationNumbers {
  std::int32_t num_nodes = 0;
  std::int32_t num_values = 0;
  std::int32_t transfer(ValueId value) const { return num_nodes + value; }
  std::int32_t totals() const { return num_nodes + num_values; }
  std::int32_t totals_sum() const { return totals() + 1; }
  std::int32_t update() const { return totals() + 2; }
  /// Sums of a bucket that stages or tensor ranks share are numbered by its first parameter, which all of them have.
  std::int32_t shared_sum(ValueId first) const { return totals() + 3 + 2 * first; }
  std::int32_t bucket_sum(int bucket) const { return totals() + 4 + 2 * bucket; }
  /// Weights are gathered under the number of the first of them: they do not travel between stages.
  std::int32_t weights(ValueId first) const { return transfer(first); }
};

/// What is known of values and stages before any rank's tasks: who makes and who needs them, and how they travel.
class StageMap {
 public:
  /// `needs_output`: the model's output is wanted for itself, not only for the loss.
  /// `placement` may be a number of stages, each at a position of its own.
  StageMap(const SplitGraph& split, std::span<const int> stages, const Placement& placement, bool needs_output);

  /// Values that a stage hands to the one behind it after a forward pass, in order: those that its position does not
  /// have from an earlier stage.
  std::span<const ValueId> down(int stage) const { return down_[static_cast<std::size_t>(stage)]; }
  /// Values that a stage hands to the one before it after a backward pass, in order.
  std::span<const ValueId> up(int stage) const { return up_[static_cast<std::size_t>(stage)]; }
  /// Nodes of a stage that run, in order; gradient nodes are all others than forward ones.
  std::span<const NodeId> nodes(int stage) const { return nodes_[static_cast<std::size_t>(stage)]; }
  /// The addends of a parameter's gradient: they are summed in the flat buffer, not by nodes.
  const std::vector<ValueId>& addends(ValueId parameter) const { return addends_.at(parameter); }
  /// True if anybody on any stage needs the node.
  bool lives(NodeId node) const { return lives_[static_cast<std::size_t>(node)]; }
  /// The node runs in the pass of the input gradients: it is one of those, or computes what such a pass reads or sends.
  bool goes_with_inputs(NodeId node) const { return with_inputs_[static_cast<std::size_t>(node)]; }
  /// The parameter that a value is an addend of, or kNone.
  ValueId addend_of(ValueId value) const { return addend_of_[static_cast<std::size_t>(value)]; }

 private:
  void find_addends(const SplitGraph& split);
  void claim(ValueId parameter, std::vector<ValueId> addends);
  void find_live(const SplitGraph& split, bool needs_output);
  void find_travels(const SplitGraph& split, std::span<const int> stages, const Placement& placement,
                    const Consumers& consumers);
  void find_with_inputs(const Graph& graph, std::span<const int> stages, const Consumers& consumers);

  std::vector<std::vector<ValueId>> down_, up_;
  std::vector<std::vector<NodeId>> nodes_;
  std::map<ValueId, std::vector<ValueId>> addends_;
  std::vector<ValueId> addend_of_;
  std::vector<bool> lives_;
  std::vector<bool> with_inputs_;
};

RankTasks build_tasks(const TaskInputs& inputs, const StageMap& map);

}  // namespace dml
