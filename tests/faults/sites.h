// The places of a rank's program where something can be wrong, by family. A site that concerns a group has the same
// name on all of its ranks, so that all of them leave out the same and nobody waits.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/program/faults.h"

namespace dml {

struct Site {
  std::string name;  ///< "family/kind/rank or group/what", such as "drop/data/p0.t1/blocks.0.fc.weight"
  std::function<void()> plant;
};

/// What the families look at and alter.
struct FaultScene {
  std::span<Instruction> instructions;
  const ProgramInputs& inputs;
  const PlaceOf& place_of;

  const Task& task(const Instruction& instruction) const {
    return inputs.tasks.tasks[static_cast<std::size_t>(instruction.task)];
  }
  const Graph& graph(int microbatch) const { return inputs.graphs[static_cast<std::size_t>(microbatch)]->graph; }
  const Node& node(const Task& task) const { return graph(task.id.microbatch).node(task.node); }
  /// "d0.p1.t0": this rank.
  std::string coordinate() const;
  /// The first launch of every node and microbatch that has one, in order.
  std::vector<Instruction*> first_launches() const;
  /// Those that run the node's kernel, rather than move or sum what an alias or a collective made.
  std::vector<Instruction*> kernels() const;
  /// True for a table that nothing but a lookup reads here, and of which this rank holds rows behind rank 0's: the data
  /// may name none of them, and then nothing that is wrong with them matters.
  bool may_be_unread(const Segment& segment) const;
};

/// "drop": one reduction (or gather) of a group is left out on all of its ranks.
std::vector<Site> dropped_collectives(const FaultScene& scene);
/// "swap": a stage is sent what it got for the microbatch before.
std::vector<Site> swapped_sends(const FaultScene& scene);
/// "shift": a rank's shard of a weight begins one unit late, or a node takes its part to begin there.
std::vector<Site> shifted_shards(const FaultScene& scene);
/// "mean": a microbatch counts for more or less than its share of the batch.
std::vector<Site> wrong_means(const FaultScene& scene);
/// "stale": one update of one weight is left out on one rank, or one operation of a stage reads a weight as it was
/// before the last one.
std::vector<Site> stale_weights(const FaultScene& scene);
/// "lost": a gradient addend replaces what was summed before it.
std::vector<Site> lost_addends(const FaultScene& scene);

}  // namespace dml
