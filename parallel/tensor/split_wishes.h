// What a plan from outside wants of the tensor split: by node, the placements of its inputs and outputs. What it leaves
// open is decided as without a plan.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/graph.h"
#include "parallel/tensor/rule.h"
#include "parallel/tensor/sharding.h"

namespace dml {

/// The placement that is wanted of one tensor.
struct ShardingWish {
  Sharding::Kind kind = Sharding::Kind::replicate;
  std::int64_t dim = 0;                          ///< negative: from the back
  std::int64_t outer = 1, units = 0, inner = 1;  ///< as of Sharding; units 0: what is left of the dim

  /// Whether every rank of `size` holds the same elements. Of a dim whose extent is not that of the wish (it has the
  /// batch in it) only the dim is compared.
  bool is(const Sharding& sharding, const Shape& shape, int size) const;
  std::string to_string() const;
  friend bool operator==(const ShardingWish&, const ShardingWish&) = default;
};

struct NodeWishes {
  std::string node;  ///< for messages
  std::vector<std::string> inputs, outputs;
  std::map<std::string, ShardingWish> tensors;
};

class SplitWishes {
 public:
  void add(NodeWishes wishes);
  bool empty() const { return nodes_.empty(); }

  /// gathered: what comes out divided is wanted whole.
  enum class Fit : std::uint8_t { no, yes, gathered };
  /// Whether a node that runs this way on `size` ranks is as wanted.
  Fit fit(const Graph& graph, const Node& node, const Strategy& strategy, int size) const;
  /// Whether anything is wanted of this node.
  bool speaks_of(const Graph& graph, const Node& node) const;
  /// "x replicate, w shard(1: 1x16x1)": what is wanted of it.
  std::string text_of(const Graph& graph, const Node& node) const;

 private:
  struct ReaderWish {
    ShardingWish wish;
    std::size_t node = 0;
    bool is_only = true;       ///< no other node of the file speaks of it
    bool is_disputed = false;  ///< they want different things
  };

  /// Of the node in the file that makes the first output; null where it is none.
  const NodeWishes* wishes_of(const Graph& graph, const Node& node) const;
  const ShardingWish* of_input(const Graph& graph, const Node& node, std::size_t input) const;
  /// Of a node that the file does not name: that its result is wanted whole, where it reads what one node alone reads.
  const ShardingWish* of_inner_output(const Graph& graph, const Node& node) const;
  const ShardingWish* of_output(const Graph& graph, const Node& node, std::size_t output) const;

  std::vector<NodeWishes> nodes_;
  std::unordered_map<std::string, std::size_t> by_output_;
  /// By name: what those that read it want. A node of the file may be several of ours, some without a name there.
  std::unordered_map<std::string, ReaderWish> by_reader_;
};

}  // namespace dml
