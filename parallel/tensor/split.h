// Divides a training graph over the tensor axis: every value gets a Sharding by propagation from the divided matrix
// products, and where a node needs another sharding than it finds, a collective is put in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/graph.h"
#include "parallel/tensor/rule.h"
#include "parallel/tensor/sharding.h"
#include "parallel/tensor/split_wishes.h"

namespace dml {

/// gather: each matrix product with a weight is divided by output columns, and its result gathered.
/// megatron (Shoeybi et al. 2019): columns, then rows, one sum per pair; attention by heads; embedding, logits and
/// cross entropy by vocabulary.
enum class SplitMode : std::uint8_t { gather, megatron };

struct SplitPlan {
  int size = 1;
  std::vector<Strategy> chosen;    ///< by node
  std::vector<bool> gathered;      ///< by node: its divided output is gathered at once
  std::vector<Sharding> values;    ///< by value
  std::vector<std::string> notes;  ///< what is not divided, and why
  /// What ranks would compute alike is divided by tokens (techniques/sequence_parts.h). Shards are then scattered from
  /// sums and gathered in their places, by one collective each, as where tokens lie outermost in memory.
  bool by_sequence = false;
  double bytes = 0;     ///< sent by a rank for one microbatch, forward and backward
  int num_divided = 0;  ///< matrix products, convolutions and lookups that are
};

/// Decisions depend on the graph's structure and on ratios of sizes, so that all microbatch sizes agree on them.
/// `wishes`, which may be null, restrict them at the nodes that they speak of; throws ModelError where such a node
/// cannot be divided so.
SplitPlan plan_split(const Graph& graph, int size, SplitMode mode, const SplitWishes* wishes = nullptr);

/// One rank's part of a graph, with the collectives in it. Nodes and values have the same indices on every rank.
struct SplitGraph {
  Graph graph;
  std::vector<NodeId> origin;     ///< by node of `graph`: the node that it came from, or that made what it moves
  std::vector<ShardSpec> shards;  ///< by value: what the value is a shard of
  /// Parameters, ascending, of whose gradients the ranks of the tensor axis have addends (Partial): summed over these
  /// once a step, when all microbatches are in.
  std::vector<ValueId> summed_last = {};

  bool is_summed_last(ValueId parameter) const;
};

SplitGraph split_graph(const Graph& graph, const SplitPlan& plan, TensorPlace place);

}  // namespace dml
