// ONNX's own multi-device annotations (IR version 11 and later; onnx/docs/proposals/0006-ONNXMultiDeviceProposal.md and
// 0007-ShardingFormalism.md): which devices a model is for, and by node its pipeline stage and how its tensors are
// divided over devices. A file may hold plans for several configurations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dml {

/// A block of a dim: `extent` units in `shards` parts.
struct SimpleSharding {
  std::int64_t extent = 0;  ///< 0 where the file does not say a number
  std::int64_t shards = 1;
};

/// A dim as a row-major product of blocks.
struct ShardedDim {
  std::int64_t axis = 0;  ///< negative: from the back
  std::vector<SimpleSharding> blocks;
};

/// How an input or output of a node is placed.
struct TensorPlacement {
  std::string tensor;
  std::vector<std::vector<std::int64_t>> devices;  ///< by shard: those that hold it
  std::vector<ShardedDim> dims;                    ///< those that are not said are not divided
  bool is_partial = false;                         ///< each device holds an addend; then there are no devices and dims
};

/// A node under one configuration.
struct NodePlacement {
  std::string configuration;
  std::optional<int> stage;
  std::vector<TensorPlacement> tensors;
};

struct PlacedNode {
  std::string name;  ///< that of its first output where it has none
  std::vector<std::string> inputs, outputs;
  std::vector<NodePlacement> placements;
};

struct DeviceConfiguration {
  std::string name;
  int num_devices = 1;
  std::vector<std::string> devices;  ///< names; empty or one for each
};

/// What a file says of devices. Addends have no place in ONNX: they stand in metadata_props "dmltrain.partial", as
/// JSON {configuration: {first output of the node: [tensor, ...]}}.
struct DevicePlan {
  std::vector<DeviceConfiguration> configurations;
  std::vector<PlacedNode> nodes;  ///< all of the file, in its order
};

}  // namespace dml
