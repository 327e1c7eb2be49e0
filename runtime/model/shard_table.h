// What the file of a rank says beside its graph: the metadata "dmltrain.partition" as JSON. Keys are the names of the
// members below; "shards" has a row for each value of the graph: [global shape, kind, dim, outer, units, inner].
#pragma once

#include <string>
#include <vector>

#include "parallel/partition.h"
#include "parallel/sample_scale.h"
#include "runtime/data/dataset.h"

namespace dml {

/// Key of the metadata.
inline constexpr const char* kShardTable = "dmltrain.partition";

struct ShardTable {
  std::string model;  ///< what was cut: a file, or a built-in model
  int d = 1, p = 1, t = 1;
  std::string order;
  int rank = 0;
  std::vector<int> positions;  ///< by stage: the pipeline position that runs it
  SplitMode mode = SplitMode::megatron;
  ModelInputs inputs;
  std::int64_t samples = 1;       ///< of the microbatch that the file's graph is of
  SampleScale scale;              ///< the graphs of other sizes
  std::vector<int> stages;        ///< by node
  std::vector<NodeId> origin;     ///< by node: see SplitGraph
  std::vector<ShardSpec> shards;  ///< by value; without names, which the graph has
  ModelSummary summary;
  std::vector<std::string> notes;
};

std::string write_table(const ShardTable& table);
/// Throws ModelError where the text is damaged or contradicts itself or the graph.
ShardTable read_table(const std::string& text, const Graph& graph);

}  // namespace dml
