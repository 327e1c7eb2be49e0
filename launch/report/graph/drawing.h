// The task graph as it is drawn: replicas, stages, layers and operations with what each one costs on each rank.
// Replicas whose microbatches have the same sizes run the same program, which is held once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "parallel/partition.h"

namespace dml {

/// One output of a task. Shapes are by tensor index, or one where all are alike.
struct DrawnOutput {
  std::string name;
  DataType dtype = DataType::f32;
  Shape whole;                ///< of all ranks of the tensor group together
  std::string placement;      ///< on the tensor axis, as Sharding writes it
  std::vector<Shape> shapes;  ///< what a rank holds
};

/// What a task costs one rank.
struct DrawnCost {
  double flops = 0;        ///< for one microbatch, the first
  std::int64_t bytes = 0;  ///< the same, read and written, or moved
  double step_flops = 0;   ///< for all microbatches of a step
  std::int64_t step_bytes = 0;
  friend bool operator==(const DrawnCost&, const DrawnCost&) = default;
};

/// A task of a stage for each microbatch, or once in a step where its phase is update.
struct DrawnTask {
  TaskId id;  ///< of the first microbatch, of tensor index 0 in the program's first replica
  TaskKind kind = TaskKind::compute;
  Axis axis = Axis::tensor;     ///< of collectives: the group
  std::string name, operation;  ///< "/blocks.0/attn/q/MatMul", "MatMul"
  int position = 0, stage = 0;
  int layer = kNone;           ///< index in DrawnProgram::layers; kNone of what is done once in a step
  std::vector<int> inputs;     ///< tasks of the same position that it waits for: indices in DrawnProgram::tasks
  std::vector<int> transfers;  ///< transfers that it waits for: indices in DrawnProgram::transfers
  std::vector<DrawnOutput> outputs;
  std::vector<std::string> parameters;  ///< of gradient sums: those whose gradients are summed
  std::vector<DrawnCost> costs;         ///< by tensor index
};

/// A value that every rank of a stage sends to its peer in the next or the previous stage, for each microbatch.
struct DrawnTransfer {
  TaskId id;  ///< of the send, as in DrawnTask
  int from_stage = 0, to_stage = 0;
  int channel = 0;
  int source = kNone;  ///< the task that makes it, or kNone where it only passes through
  DrawnOutput value;
  std::vector<DrawnCost> costs;  ///< by tensor index
};

/// A module of the model. One that the cut goes through is in two stages.
struct DrawnLayer {
  std::string name;
  std::vector<int> stages;  ///< ascending
};

/// What a replica does in a step.
struct DrawnProgram {
  std::vector<std::int64_t> sizes;  ///< samples of each microbatch
  std::vector<DrawnTask> tasks;     ///< by position, then in the order in which a rank takes them
  std::vector<DrawnTransfer> transfers;
  std::vector<DrawnLayer> layers;  ///< in forward order
};

struct Drawing {
  std::string model;
  Mesh mesh{1, 1, 1};
  Placement placement{1};
  std::string schedule;
  std::string tensor_mode;
  std::vector<std::string> stage_labels;  ///< the first and the last layer of each
  std::vector<Order> orders;              ///< by pipeline position
  std::int64_t parameters = 0;
  std::vector<DrawnProgram> programs;
  std::vector<int> program_of;              ///< by replica
  std::vector<std::int64_t> first_samples;  ///< by replica: where its part of the global batch begins
  std::vector<std::string> notes;

  const DrawnProgram& program(int replica) const {
    return programs[static_cast<std::size_t>(program_of[static_cast<std::size_t>(replica)])];
  }
  /// The position that runs the stage.
  int position(int stage) const { return placement.position(stage); }
};

/// A rank's partition; asked for p·t ranks of each program, and for one of each other replica.
using PartitionOfRank = std::function<Partition(int rank)>;

/// Throws what `partition_of` throws.
Drawing make_drawing(const std::string& model, const Mesh& mesh, const std::string& schedule,
                     const PartitionOfRank& partition_of);

/// Sum over the ranks of a tensor group, for all microbatches of a step.
DrawnCost total_of(const std::vector<DrawnCost>& costs);

}  // namespace dml
