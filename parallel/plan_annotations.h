// A layout in ONNX's multi-device annotations, and back: stages as pipeline stages, the tensor split as placements of
// the inputs and outputs of nodes. Devices are those of one replica: t·position + tensor index.
#pragma once

#include <span>
#include <string>
#include <unordered_map>

#include "models/graph.h"
#include "models/onnx/multi_device.h"
#include "parallel/pipeline/actions.h"
#include "parallel/tensor/split.h"

namespace dml {

/// What a model's file says of how it is to be partitioned.
struct CarriedPlan {
  std::string configuration;
  int num_stages = 1;                             ///< counted from 0 in the order of the file's numbers
  int t = 1;                                      ///< shards of what is divided
  std::unordered_map<std::string, int> stage_of;  ///< by the outputs of nodes
  SplitWishes wishes;
};

/// The plan of one of the file's configurations. Throws ModelError, with the node, where tensors are divided along
/// several dims, or into numbers of shards that differ from each other or from their devices.
CarriedPlan carried_plan(const DevicePlan& file, const DeviceConfiguration& configuration);

/// A layout of a training graph, as decided for it.
struct DecidedLayout {
  const Graph& graph;
  std::span<const int> stages;  ///< by node
  const SplitPlan& split;
  const Placement& placement;
};

/// The nodes of a file with the layout as their only plan. A stage that ends inside of a node of the file (one that
/// became several of ours) ends before it. A node that is none of the graph (it was folded or fused) is in the stage of
/// those that read it; of tensors that are no values of the graph nothing is said, nor of those whose readers want
/// different things. Throws ModelError where a stage has no node of the file.
DevicePlan annotated(DevicePlan file, const DecidedLayout& layout);

}  // namespace dml
